//! Going up and down: in the table, the stream, the detail.

use super::super::keymap::Action;
use super::super::layout::Layout;
use super::super::model::{Detail, Model, Panel};
use super::apply_pending;

/// How far one goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Motion {
    /// By so many lines, up if negative.
    Lines(i64),
    /// By so many pages, up if negative.
    Pages(i64),
    /// To the top.
    First,
    /// To the bottom.
    Last,
}

impl Motion {
    pub(super) const fn of(action: Action) -> Option<Self> {
        Some(match action {
            Action::Up => Self::Lines(-1),
            Action::Down => Self::Lines(1),
            Action::PageUp => Self::Pages(-1),
            Action::PageDown => Self::Pages(1),
            Action::First => Self::First,
            Action::Last => Self::Last,
            _ => return None,
        })
    }

    /// As lines, on a panel of so many rows.
    fn lines(self, rows: usize) -> i64 {
        let page = i64::try_from(rows.max(2) - 1).unwrap_or(1);
        match self {
            Self::Lines(lines) => lines,
            Self::Pages(pages) => pages.saturating_mul(page),
            Self::First => i64::from(i32::MIN),
            Self::Last => i64::from(i32::MAX),
        }
    }
}

/// Goes in the panel with the focus.
pub(super) fn go(model: &mut Model, by: Motion) {
    match model.panel {
        Panel::Users => select(model, by),
        Panel::Stream => scroll_stream(model, by),
        Panel::Detail => scroll_detail(model, by),
    }
}

/// Moves the selection; what is explained follows it.
pub(super) fn select(model: &mut Model, by: Motion) {
    apply_pending(model);
    let rows = Layout::of(model).rows_of(Panel::Users);
    match by {
        Motion::First => model.table.select(&model.known_users, 0, rows),
        Motion::Last => model.table.select(&model.known_users, usize::MAX, rows),
        by => model.table.step(&model.known_users, by.lines(rows), rows),
    }
    follow_selection(model);
}

/// An open explanation is about whoever is selected.
pub(super) fn follow_selection(model: &mut Model) {
    if let (Some(user), Some(detail)) = (model.table.selected(), &model.detail)
        && *user != detail.user
    {
        model.detail = Some(Detail::new(user.clone()));
    }
}

pub(super) fn scroll_stream(model: &mut Model, by: Motion) {
    let rows = Layout::of(model).rows_of(Panel::Stream);
    match by {
        Motion::First => model.change_log.scroll_to_oldest(rows),
        Motion::Last => model.change_log.follow(),
        by => model.change_log.scroll(by.lines(rows), rows),
    }
    // While all stands still, so does the bottom.
    if model.paused_since.is_some() && model.change_log.is_following() {
        model.change_log.hold();
    }
}

pub(super) fn scroll_detail(model: &mut Model, by: Motion) {
    let rows = Layout::of(model).rows_of(Panel::Detail);
    if let Some(detail) = &mut model.detail {
        let lines = isize::try_from(by.lines(rows)).unwrap_or(0);
        let last = detail.drawn_lines.get().saturating_sub(rows);
        detail.top = detail.top.min(last).saturating_add_signed(lines).min(last);
    }
}
