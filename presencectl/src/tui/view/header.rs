//! The top line: which daemon, and whether what is shown is as it is.

use presence::Mono;
use ratatui::text::{Line, Span};

use super::super::geometry::Area;
use super::super::model::{Link, Model};
use super::pen::{Pen, span};
use crate::output::escape::escape;
use crate::output::time;

pub(super) fn draw(model: &Model, area: Area, pen: &mut Pen) {
    if area.is_empty() {
        return;
    }
    let right = right(model, pen);
    let right_width = u16::try_from(right.width()).unwrap_or(u16::MAX).min(area.width);
    let left_width = area.width.saturating_sub(right_width + 1);
    pen.line((area.x, area.y), left_width, &left(model, pen));
    pen.line((area.x + area.width - right_width, area.y), right_width, &right);
}

/// Who answers; while nobody does, why, and what happens next.
fn left(model: &Model, pen: &Pen) -> Line<'static> {
    let theme = pen.theme;
    let name = span("presenced", theme.strong());
    let mut pieces = vec![name];
    match &model.link {
        Link::Lost { why, retry_at, .. } => {
            let next = match retry_at {
                Some(at) => format!("trying again in {}", wait(model, *at)),
                None => "it answers; reading what changed".to_owned(),
            };
            pieces.push(span(format!("  {}; {next}", escape(why)), theme.unusual()));
        }
        Link::Ended { why, next, .. } => {
            pieces.push(span(format!("  {}", escape(why)), theme.unusual()));
            if let Some(next) = next {
                pieces.push(span(format!(" → {}", escape(next)), theme.faint()));
            }
        }
        Link::Connecting => pieces.push(span("  connecting…", theme.faint())),
        Link::Loading | Link::Live => pieces.extend(daemon(model, pen)),
    }
    Line::from(pieces)
}

fn daemon(model: &Model, pen: &Pen) -> Vec<Span<'static>> {
    let theme = pen.theme;
    let daemon = &model.daemon;
    let mut pieces = vec![
        span(format!(" {}", escape(&daemon.version)), theme.faint()),
        span(format!("  node {}", escape(&daemon.node)), ratatui::style::Style::new()),
        span(format!("  {}", daemon.server), theme.faint()),
    ];
    if let Some(stats) = &model.stats {
        let uptime = time::length(std::time::Duration::from_secs(stats.uptime_seconds));
        let uptime = if stats.uptime_seconds == 0 {
            "0s".to_owned()
        } else {
            uptime
        };
        pieces.push(span(format!("  up {uptime}"), theme.faint()));
    }
    pieces
}

fn wait(model: &Model, at: Mono) -> String {
    format!("{:.1} s", at.since(model.clock.mono).as_secs_f64())
}

fn right(model: &Model, pen: &Pen) -> Line<'static> {
    let theme = pen.theme;
    let mut pieces = Vec::new();
    if model.paused_since.is_some() {
        pieces.push(span(
            " PAUSED ",
            theme.unusual().add_modifier(ratatui::style::Modifier::REVERSED),
        ));
        pieces.push(span(" ", theme.faint()));
    }
    pieces.push(match (&model.link, model.stale_for()) {
        (_, Some(age)) => span(format!(" STALE {}s ", age.as_secs()), theme.bad()),
        (Link::Live, None) => span("● live", theme.good()),
        _ => span("○ loading", theme.unusual()),
    });
    // Without a word from the daemon its clock is not known.
    if !matches!(model.link, Link::Connecting) {
        pieces.push(span(
            format!("  {}", time::time_or_date(model.now, model.now)),
            theme.faint(),
        ));
    }
    Line::from(pieces)
}
