//! The header: the daemon, and the state of the connection.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::super::geometry::{Area, Position};
use super::super::model::{ConnectionState, Model};
use super::painter::{Painter, span};
use super::trouble::label;
use crate::output::escape::escape;
use crate::output::time;

/// From this width on the clock is shown even without a connection.
const CLOCK_COLUMNS: u16 = 110;

pub(super) fn draw(model: &Model, area: Area, painter: &mut Painter) {
    if area.is_empty() {
        return;
    }
    let right = right(model, area.width, painter);
    let right_width = u16::try_from(right.width()).unwrap_or(u16::MAX).min(area.width);
    let left_width = area.width.saturating_sub(right_width + 1);
    painter.line(area.top_left(), left_width, &left(model, painter));
    let at = Position::new(area.x + area.width - right_width, area.y);
    painter.line(at, right_width, &right);
}

/// Without room for a header: what is wrong, over the first line of the panel.
pub(super) fn draw_trouble(model: &Model, painter: &mut Painter) {
    if model.trouble().is_none() && model.connection.stale_since().is_none() {
        return;
    }
    let state = state(model, painter);
    let width = u16::try_from(state.width()).unwrap_or(u16::MAX).min(model.size.width);
    let at = Position::new(model.size.width - width, 0);
    painter.line(at, width, &Line::from(state));
}

/// The daemon, or why it is not connected. What happens next is shown where it is never truncated: at the right, or in
/// the footer.
fn left(model: &Model, painter: &Painter) -> Line<'static> {
    let theme = painter.theme;
    let name = span("presenced", theme.strong());
    let mut pieces = vec![name];
    match &model.connection {
        ConnectionState::Lost { why, .. } | ConnectionState::Ended { why, .. } => {
            pieces.push(span(format!("  {}", escape(why)), theme.unusual()));
        }
        ConnectionState::Connecting => {}
        ConnectionState::Loading | ConnectionState::Live => pieces.extend(daemon(model, painter)),
    }
    Line::from(pieces)
}

fn daemon(model: &Model, painter: &Painter) -> Vec<Span<'static>> {
    let theme = painter.theme;
    let daemon = &model.daemon;
    let mut pieces = vec![
        span(format!(" {}", escape(&daemon.version)), theme.faint()),
        span(format!("  node {}", escape(&daemon.node)), Style::new()),
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

fn state(model: &Model, painter: &Painter) -> Span<'static> {
    let theme = painter.theme;
    match (&model.connection, model.stale_for()) {
        (_, Some(age)) => span(format!(" STALE {}s ", age.as_secs()), theme.bad()),
        (ConnectionState::Live, None) => match model.trouble() {
            Some(trouble) => label(&trouble, painter),
            None => span("● live", theme.good()),
        },
        (ConnectionState::Connecting, None) => span("○ connecting", theme.unusual()),
        _ => span("○ loading", theme.unusual()),
    }
}

fn right(model: &Model, width: u16, painter: &Painter) -> Line<'static> {
    let theme = painter.theme;
    let mut pieces = Vec::new();
    if model.paused_since.is_some() {
        pieces.push(span(" PAUSED ", theme.unusual().add_modifier(Modifier::REVERSED)));
        pieces.push(span(" ", theme.faint()));
    }
    pieces.push(state(model, painter));
    if let ConnectionState::Lost { retry_at, .. } = &model.connection {
        let next = match retry_at.map(|at| at.since(model.clock.mono)) {
            Some(wait) if wait.is_zero() => " connecting…".to_owned(),
            Some(wait) => format!(" retry in {:.1} s", wait.as_secs_f64()),
            None => " connected, loading…".to_owned(),
        };
        pieces.push(span(next, theme.unusual()));
    }
    // The server's clock is unknown before the first message, and other information has precedence while the connection
    // is lost.
    let has_room = model.connection.stale_since().is_none() || width >= CLOCK_COLUMNS;
    if has_room && !matches!(model.connection, ConnectionState::Connecting) {
        let clock = time::time_or_date(model.now, model.now);
        pieces.push(span(format!("  {clock}"), theme.faint()));
    }
    Line::from(pieces)
}
