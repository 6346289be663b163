//! Cursor motion and scrolling in the panels.

use super::super::keymap::Action;
use super::super::layout::Layout;
use super::super::model::{Detail, Model, Panel};
use super::apply_pending;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Motion {
    /// Up if negative.
    Lines(i64),
    /// Up if negative.
    Pages(i64),
    First,
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

    /// In lines, on a panel with this many rows.
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

pub(super) fn go(model: &mut Model, by: Motion) {
    match model.panel {
        Panel::Users => select(model, by),
        Panel::ChangeLog => scroll_change_log(model, by),
        Panel::Detail => scroll_detail(model, by),
    }
}

/// Moves the selection; the detail follows it.
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

pub(super) fn follow_selection(model: &mut Model) {
    if let (Some(user), Some(detail)) = (model.table.selected(), &model.detail)
        && *user != detail.user
    {
        model.detail = Some(Detail::new(user.clone()));
    }
}

pub(super) fn scroll_change_log(model: &mut Model, by: Motion) {
    let rows = Layout::of(model).rows_of(Panel::ChangeLog);
    match by {
        Motion::First => model.change_log.scroll_to_oldest(rows),
        Motion::Last => model.change_log.follow(),
        by => model.change_log.scroll(by.lines(rows), rows),
    }
    // While paused, the end of the change log is paused too.
    if model.paused_since.is_some() && model.change_log.is_following() {
        model.change_log.pause();
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
