//! Numbers: users by status with their last minutes, what is open, how fast things happen, how the store does.

use std::time::Duration;

use presence::Status;
use presence::wire::rest::{Counts, Stats};
use ratatui::text::{Line, Span};

use super::super::geometry::Area;
use super::super::layout::Layout;
use super::super::model::Model;
use super::super::model::history::Sample;
use super::pen::{Pen, span};
use super::sparkline::{bar, sparkline};
use super::words::{count, lag, rate, sign};
use crate::output::escape::escape;

const STATUSES: [Status; 3] = [Status::Online, Status::Idle, Status::DoNotDisturb];
/// Sign, word, count and share with the blanks between them.
const NUMBERS_COLUMNS: u16 = 33;
/// The share as a bar takes at most so much.
const BAR_COLUMNS_MAX: u16 = 30;
/// Seconds of changes in the line of figures.
const CHANGES_COLUMNS: u16 = 20;

pub(super) fn draw(model: &Model, layout: &Layout, pen: &mut Pen) {
    let area = layout.overview;
    match area.height {
        0 => {}
        1 => {
            let mut line = statuses(model, pen);
            line.extend(figures(model, pen, 0));
            pen.line((area.x, area.y), area.width, &Line::from(line));
        }
        _ => {
            let present = count(model.roster.counts().total());
            let title = Line::from(vec![
                span(" Overview ", pen.theme.title(false)),
                span(format!("{present} present "), pen.theme.faint()),
            ]);
            pen.panel(area, &title, false);
            for (index, status) in (0..).zip(STATUSES) {
                status_line(model, status, layout.status_line(index), pen);
            }
            let last = layout.status_line(3);
            let line = Line::from(figures(model, pen, CHANGES_COLUMNS));
            pen.line((last.x + 1, last.y), last.width.saturating_sub(1), &line);
        }
    }
}

fn of(mut counts: Counts, status: Status) -> u64 {
    counts.of(status).map_or(0, |count| *count)
}

/// `● 12  ◐ 3  ⊘ 1`, where there is one line for all.
fn statuses(model: &Model, pen: &Pen) -> Vec<Span<'static>> {
    let counts = model.roster.counts();
    let piece = |status| {
        let text = format!(" {} {} ", sign(status), count(of(counts, status)));
        span(text, pen.theme.status(status))
    };
    STATUSES.map(piece).to_vec()
}

/// One status: how many, which share, and the last minutes.
fn status_line(model: &Model, status: Status, area: Area, pen: &mut Pen) {
    if area.is_empty() {
        return;
    }
    let (counts, style) = (model.roster.counts(), pen.theme.status(status));
    let (number, whole) = (of(counts, status), counts.total());
    let share = match whole {
        0 => String::new(),
        whole => format!("{:.0}%", number as f64 * 100.0 / whole as f64),
    };
    let text = format!(
        " {} {:<14} {:>9} {share:>4} ",
        sign(status),
        status.as_str(),
        count(number)
    );
    let x = pen.text((area.x, area.y), area.width, &text, style);
    let room = area.width.saturating_sub(NUMBERS_COLUMNS);
    let bar_columns = (room / 3).min(BAR_COLUMNS_MAX);
    pen.text(
        (x, area.y),
        bar_columns.min(room),
        &bar(number, whole, bar_columns),
        style,
    );
    let seconds = room.saturating_sub(bar_columns + 1);
    let sample = |sample: &Sample| sample.is_known.then(|| of(sample.users, status));
    let numbers: Vec<_> = model.history.last(usize::from(seconds)).map(sample).collect();
    pen.text_right((x + bar_columns + 1, area.y), seconds, &sparkline(&numbers), style);
}

fn figures(model: &Model, pen: &Pen, spark_columns: u16) -> Vec<Span<'static>> {
    let theme = pen.theme;
    let mut pieces = Vec::new();
    let changes = model.stats.as_ref().map_or(0.0, |stats| stats.rates.changes_per_second);
    pieces.push(span(format!("{} changes ", rate(changes)), theme.strong()));
    if spark_columns > 0 {
        let sample = |sample: &Sample| sample.is_known.then_some(sample.changes);
        let numbers: Vec<_> = model.history.last(usize::from(spark_columns)).map(sample).collect();
        pieces.push(span(sparkline(&numbers), theme.accent()));
        pieces.push(span(" ", theme.faint()));
    }
    if let Some(stats) = &model.stats {
        pieces.extend(of_daemon(model, stats, pen));
    }
    if let Some(why) = &model.stats_error {
        pieces.push(span(format!("· no numbers: {}", escape(why)), theme.unusual()));
    }
    pieces
}

fn of_daemon(model: &Model, stats: &Stats, pen: &Pen) -> Vec<Span<'static>> {
    let theme = pen.theme;
    let sessions = &stats.sessions;
    let seconds = |seconds: f64| lag(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let mut pieces = vec![span(
        format!(
            "· lag {}, at most {} ",
            seconds(stats.rates.delivery_lag_seconds),
            seconds(stats.rates.delivery_lag_max_seconds)
        ),
        ratatui::style::Style::new(),
    )];
    pieces.push(if stats.store.writable {
        span("· store ok ", theme.good())
    } else {
        span("· STORE TAKES NO WRITES ", theme.bad())
    });
    if let Some(error) = &stats.store.error {
        pieces.push(span(format!("{} ", escape(error)), theme.unusual()));
    }
    pieces.push(span(
        format!(
            "· {} connections, {} reports, {} in grace, {} watched, {} observers ",
            count(sessions.connections),
            count(sessions.reports),
            count(sessions.in_grace),
            count(sessions.watches),
            count(sessions.observers)
        ),
        ratatui::style::Style::new(),
    ));
    if stats.store.pending_writes > 0 {
        pieces.push(span(
            format!("· {} to write ", count(stats.store.pending_writes)),
            theme.faint(),
        ));
    }
    if let Some(round_trip) = model.round_trip {
        pieces.push(span(format!("· round trip {}", lag(round_trip)), theme.faint()));
    }
    pieces
}
