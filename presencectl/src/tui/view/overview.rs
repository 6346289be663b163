//! The overview: users by status with their history, sessions, rates, and the state of the store.

use std::time::Duration;

use presence::Status;
use presence::wire::rest::{Counts, SessionStats, StallStats};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::geometry::{Area, Position};
use super::super::layout::Layout;
use super::super::model::Model;
use super::super::model::history::Sample;
use super::super::model::trouble::Trouble;
use super::cluster;
use super::format::{count, counted, lag, rate, sign};
use super::painter::{Painter, cut, span};
use super::sparkline::{bar, sparkline, trend};
use super::trouble::seconds;
use crate::output::escape::escape;

const STATUSES: [Status; 3] = [Status::Online, Status::Idle, Status::DoNotDisturb];
/// Sign, name, count and percentage, with blanks.
const NUMBERS_COLUMNS: u16 = 33;
/// The maximum width of the bar.
const BAR_COLUMNS_MAX: u16 = 30;
/// Seconds of the changes sparkline, if there is room.
const CHANGES_COLUMNS: usize = 20;
/// Fewer pending writes are normal at any rate.
const PENDING_USUAL: f64 = 50.0;
/// A shorter sparkline is not shown.
const CHANGES_COLUMNS_MIN: usize = 6;

pub(super) fn draw(model: &Model, layout: &Layout, painter: &mut Painter) {
    let area = layout.overview;
    match area.height {
        0 => {}
        1 => {
            let mut line = statuses(model, painter);
            let used: usize = line.iter().map(Span::width).sum();
            line.extend(figures(model, usize::from(area.width).saturating_sub(used), painter));
            painter.line(area.top_left(), area.width, &Line::from(line));
        }
        _ => {
            painter.panel(area, &title(model, painter), false);
            for (index, status) in (0..).zip(STATUSES) {
                status_line(model, status, layout.status_line(index), painter);
            }
            let last = layout.status_line(3);
            let width = last.width.saturating_sub(2);
            let line = Line::from(figures(model, width.into(), painter));
            painter.line(Position::new(last.x + 1, last.y), width, &line);
            let line = cluster::summary(model, painter).filter(|_| layout.cluster.is_empty());
            if let Some(line) = line {
                let area = layout.status_line(4);
                painter.line(Position::new(area.x + 1, area.y), width.min(area.width), &line);
            }
        }
    }
}

fn title(model: &Model, painter: &Painter) -> Line<'static> {
    let mut pieces = vec![span(" Overview ", painter.theme.title(false))];
    if is_known(model) {
        let present = count(model.known_users.counts().total());
        let place = if model.cluster().is_some() { "on all nodes " } else { "" };
        pieces.push(span(format!("{present} present {place}"), painter.theme.faint()));
    }
    Line::from(pieces)
}

/// Whether any user data arrived: before that, counts are unknown and not zero.
const fn is_known(model: &Model) -> bool {
    model.known_users.is_started() || model.known_users.slots() > 0
}

/// The count of a status, `–` if it is unknown.
fn shown(model: &Model, status: Status) -> String {
    if is_known(model) {
        count(of(model.known_users.counts(), status))
    } else {
        "–".to_owned()
    }
}

fn of(mut counts: Counts, status: Status) -> u64 {
    counts.of(status).map_or(0, |count| *count)
}

/// `● 12  ◐ 3  ⊘ 1`, for an overview of one line.
fn statuses(model: &Model, painter: &Painter) -> Vec<Span<'static>> {
    let piece = |status| {
        let text = format!(" {} {} ", sign(status), shown(model, status));
        span(text, painter.theme.status(status))
    };
    let mut pieces = STATUSES.map(piece).to_vec();
    pieces.push(span(" ", Style::new()));
    pieces
}

/// One status: count, percentage and history.
fn status_line(model: &Model, status: Status, area: Area, painter: &mut Painter) {
    if area.is_empty() {
        return;
    }
    let (counts, style) = (model.known_users.counts(), painter.theme.status(status));
    let (number, whole) = (of(counts, status), counts.total());
    let share = match whole {
        0 => String::new(),
        whole => format!("{:.0}%", number as f64 * 100.0 / whole as f64),
    };
    let text = format!(
        " {} {:<14} {:>9} {share:>4} ",
        sign(status),
        status.as_str(),
        shown(model, status)
    );
    let x = painter.text(area.top_left(), area.width, &text, style);
    // One blank before the border.
    let room = area.width.saturating_sub(NUMBERS_COLUMNS + 1);
    let bar_columns = (room / 3).min(BAR_COLUMNS_MAX);
    let bar = bar(number, whole, bar_columns);
    painter.text(Position::new(x, area.y), bar_columns.min(room), &bar, style);
    let seconds = room.saturating_sub(bar_columns + 1);
    let sample = |sample: &Sample| sample.is_known.then(|| of(sample.users, status));
    let numbers: Vec<_> = model.history.last(usize::from(seconds)).map(sample).collect();
    let at = Position::new(x + bar_columns + 1, area.y);
    painter.text_right(at, seconds, &trend(&numbers), style);
}

/// How verbose the figures are, depending on the width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verbosity {
    All,
    Most,
    Short,
}

/// Problems first, then rates and latencies; the sparkline of changes takes the remaining room.
fn figures(model: &Model, width: usize, painter: &Painter) -> Vec<Span<'static>> {
    let width_of = |pieces: &[Span]| pieces.iter().map(Span::width).sum::<usize>();
    let problems = problems(model, width, painter);
    let room = width.saturating_sub(width_of(&problems));
    let texts = |verbosity| (changes(model, verbosity, painter), of_daemon(model, verbosity, painter));
    let fits = |verbosity: &Verbosity| {
        let (changes, rest) = texts(*verbosity);
        width_of(&[changes]) + width_of(&rest) + CHANGES_COLUMNS_MIN < room
    };
    let verbosity = [Verbosity::All, Verbosity::Most].into_iter().find(fits);
    let (mut changes, rest) = texts(verbosity.unwrap_or(Verbosity::Short));
    // Their name rather than their sparkline.
    let named = self::changes(model, Verbosity::Most, painter);
    if width_of(std::slice::from_ref(&named)) + width_of(&rest) <= room {
        changes = named;
    }
    let left = room.saturating_sub(changes.width() + width_of(&rest));
    let mut pieces = problems;
    pieces.push(changes);
    // One blank before it.
    let left = left.saturating_sub(1);
    if left >= CHANGES_COLUMNS_MIN {
        let sample = |sample: &Sample| sample.is_known.then_some(sample.changes);
        let numbers: Vec<_> = model.history.last(left.min(CHANGES_COLUMNS)).map(sample).collect();
        let blank = if numbers.is_empty() { "" } else { " " };
        pieces.push(span(format!("{blank}{}", sparkline(&numbers)), painter.theme.accent()));
    }
    pieces.extend(rest);
    pieces
}

/// Problems that need attention. The text takes at most half of the line.
fn problems(model: &Model, width: usize, painter: &Painter) -> Vec<Span<'static>> {
    let theme = painter.theme;
    let piece = |text: String| span(format!("{} · ", cut(&escape(&text), width / 2)), theme.unusual());
    match model.trouble() {
        Some(Trouble::NoStatistics(why)) => vec![piece(format!("no statistics: {why}"))],
        Some(Trouble::StoreError(why)) => vec![piece(why)],
        Some(Trouble::NotWritable) => {
            let error = model.stats.as_ref().and_then(|stats| stats.store.error.clone());
            let label = span(" STORE NOT WRITABLE ", theme.bad());
            [label, span(" ", Style::new())]
                .into_iter()
                .chain(error.map(piece))
                .collect()
        }
        // The header says it; a stall is beside the lag, and the cluster has its place.
        Some(
            Trouble::Silent(_) | Trouble::Stalled(_) | Trouble::RedisUnreachable | Trouble::Stale | Trouble::NodeSilent,
        )
        | None => Vec::new(),
    }
}

fn changes(model: &Model, verbosity: Verbosity, painter: &Painter) -> Span<'static> {
    let rate = model
        .stats
        .as_ref()
        .map_or("–/s".to_owned(), |stats| rate(stats.rates.changes_per_second));
    let text = match verbosity {
        Verbosity::All | Verbosity::Most => format!("{rate} changes"),
        Verbosity::Short => rate,
    };
    span(text, painter.theme.strong())
}

fn of_daemon(model: &Model, verbosity: Verbosity, painter: &Painter) -> Vec<Span<'static>> {
    let theme = painter.theme;
    let Some(stats) = &model.stats else {
        return Vec::new();
    };
    let of_seconds = |seconds: f64| lag(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let lag_of = format!(
        " · lag {}, max {}",
        of_seconds(stats.rates.delivery_lag_seconds),
        of_seconds(stats.rates.delivery_lag_max_seconds)
    );
    let lag_style = match model.recent_stall() {
        Some(_) => theme.unusual(),
        None => Style::new(),
    };
    let mut pieces = vec![span(lag_of, lag_style)];
    pieces.extend(stalls(model, &stats.stalls, verbosity, painter));
    if stats.store.writable && model.has_current_figures() {
        pieces.push(span(" · ", Style::new()));
        pieces.push(span("store ok", theme.good()));
    }
    let sessions = match model.cluster() {
        Some(_) => sessions_here(&stats.sessions, verbosity),
        None => sessions(&stats.sessions, verbosity),
    };
    pieces.push(span(sessions, Style::new()));
    // Some writes are always pending; only more than arrive in a second are shown.
    let pending = stats.store.pending_writes;
    if pending as f64 > stats.rates.changes_per_second.max(PENDING_USUAL) {
        let text = format!(" · {} pending writes", count(pending));
        pieces.push(span(text, theme.unusual()));
    }
    if let Some(round_trip) = model.round_trip.filter(|_| verbosity == Verbosity::All) {
        pieces.push(span(format!(" · round trip {}", lag(round_trip)), theme.faint()));
    }
    pieces
}

/// The count of stalls, while one was recent with its length; nothing if there was none.
fn stalls(model: &Model, stalls: &StallStats, verbosity: Verbosity, painter: &Painter) -> Option<Span<'static>> {
    let recent = model.recent_stall();
    let count = counted(stalls.count, "stall");
    let text = match (recent, verbosity) {
        (Some(last), _) => format!(" · {count}, last {}", seconds(last)),
        (None, Verbosity::All) => format!(" · {count}"),
        (None, _) => return None,
    };
    let style = match recent {
        Some(_) => painter.theme.unusual(),
        None => Style::new(),
    };
    Some(span(text, style)).filter(|_| stalls.count > 0)
}

fn sessions(sessions: &SessionStats, verbosity: Verbosity) -> String {
    let SessionStats {
        connections, reports, ..
    } = *sessions;
    let in_grace = count(sessions.in_grace);
    if verbosity == Verbosity::Short {
        let all = counted(connections.saturating_add(reports), "session");
        return format!(" · {all}, {in_grace} in grace");
    }
    let (connections, reports) = (counted(connections, "connection"), counted(reports, "report"));
    let mut text = format!(" · {connections}, {reports}, {in_grace} in grace period");
    if verbosity == Verbosity::All {
        let (watched, observers) = (count(sessions.watches), counted(sessions.observers, "observer"));
        text.push_str(&format!(", {watched} watched, {observers}"));
    }
    text
}

/// The same in a cluster: reports are those of all nodes, everything else is of the node that answers.
fn sessions_here(sessions: &SessionStats, verbosity: Verbosity) -> String {
    let in_grace = count(sessions.in_grace);
    if verbosity == Verbosity::Short {
        let here = counted(sessions.connections, "session");
        return format!(" · here {here}, {in_grace} in grace");
    }
    let (connections, reports) = (
        counted(sessions.connections, "connection"),
        counted(sessions.reports, "report"),
    );
    let mut text = format!(" · {reports} · here {connections}, {in_grace} in grace period");
    if verbosity == Verbosity::All {
        let (watched, observers) = (count(sessions.watches), counted(sessions.observers, "observer"));
        text.push_str(&format!(", {watched} watched, {observers}"));
    }
    text
}
