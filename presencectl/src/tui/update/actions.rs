//! Actions in the panels.

use presence::{CustomStatus, Status, UserId};

use super::super::effect::Effect;
use super::super::keymap::{Action, Filter};
use super::super::layout::Layout;
use super::super::model::overlay::{CommandPalette, Menu, MenuItem, Overlay, Prompt};
use super::super::model::sort_order::SortOrder;
use super::super::model::text_input::TextInput;
use super::super::model::{ConnectionState, Detail, Model, Panel, TimeDisplay};
use super::motion::{self, Motion};
use super::{apply_pending, notify};
use crate::output::escape::quote;

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    if let Some(by) = Motion::of(action) {
        motion::go(model, by);
        return Vec::new();
    }
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Repaint => return vec![Effect::Repaint],
        Action::Reconnect => return reconnect(model),
        Action::Copy => return copy(model),
        Action::Help => model.overlay = Some(Overlay::Help { top: 0 }),
        Action::Palette => open_palette(model),
        Action::NextPanel => next_panel(model, 1),
        Action::PreviousPanel => next_panel(model, 2),
        Action::Zoom => model.is_zoomed = !model.is_zoomed,
        Action::Pause => pause(model),
        Action::Times => model.times = next_times(model.times),
        Action::Back => back(model),
        Action::Search => {
            model.search = Some(TextInput::new(model.table.query()));
            focus(model, Panel::Users);
        }
        Action::NextFilter => filter(model, next_filter(model.table.filter())),
        Action::Filter(wanted) => filter(model, wanted),
        Action::Open => open(model),
        Action::NextSort | Action::PreviousSort | Action::Reverse | Action::Sort(_) => sort(model, action),
        Action::SetStatus => open_prompt(model, Prompt::Status),
        Action::Kick => open_prompt(model, Prompt::Kick),
        Action::Forget => open_prompt(model, Prompt::Forget),
        Action::Export => {
            let prompt = match model.panel {
                Panel::ChangeLog => Prompt::ExportChanges,
                Panel::Users | Panel::Detail => Prompt::ExportUsers,
            };
            model.overlay = Some(Overlay::Menu(Menu::new(prompt)));
        }
        _ => {}
    }
    Vec::new()
}

/// Focuses a panel. Focusing another panel ends the zoom.
pub(super) fn focus(model: &mut Model, panel: Panel) {
    if model.panel != panel {
        model.is_zoomed = false;
    }
    model.panel = panel;
}

pub(super) fn explain(model: &mut Model, user: UserId) {
    if model.detail.as_ref().is_none_or(|detail| detail.user != user) {
        model.detail = Some(Detail::new(user));
    }
}

fn open(model: &mut Model) {
    apply_pending(model);
    if model.table.selected().is_none() {
        motion::select(model, Motion::Lines(0));
    }
    let Some(user) = model.table.selected().cloned() else {
        return notify(model, "no user is listed", false);
    };
    let was_open = model.detail.as_ref().is_some_and(|detail| detail.user == user);
    explain(model, user);
    // Focus stays with the table, and the detail follows the selection; a second Enter, or missing room, focuses the
    // detail.
    if was_open || model.is_zoomed || Layout::of(model).detail.is_empty() {
        focus(model, Panel::Detail);
    }
}

fn back(model: &mut Model) {
    if model.is_zoomed {
        model.is_zoomed = false;
    } else if model.detail.is_some() {
        model.detail = None;
        focus(model, Panel::Users);
    } else if !model.table.query().is_empty() {
        model.table.set_query("");
    } else if model.table.selected().is_some() {
        model.table.deselect();
    } else {
        filter(model, Filter::Present);
        focus(model, Panel::Users);
    }
}

fn next_panel(model: &mut Model, steps: usize) {
    let mut panels = vec![Panel::Users, Panel::ChangeLog];
    if model.detail.is_some() {
        panels.insert(1, Panel::Detail);
    }
    let at = panels.iter().position(|panel| *panel == model.panel).unwrap_or(0);
    // One step back is all steps but one forward.
    let steps = if steps == 1 { 1 } else { panels.len() - 1 };
    focus(model, panels[(at + steps) % panels.len()]);
}

fn pause(model: &mut Model) {
    match model.paused_since.take() {
        Some(_) => {
            model.table.set_paused(false);
            model.known_users.release();
            model.change_log.resume();
        }
        None => {
            model.paused_since = Some(model.now);
            apply_pending(model);
            model.table.set_paused(true);
            model.known_users.hold(model.table.listed());
            model.change_log.pause();
        }
    }
}

const fn next_times(times: TimeDisplay) -> TimeDisplay {
    match times {
        TimeDisplay::Both => TimeDisplay::Relative,
        TimeDisplay::Relative => TimeDisplay::Absolute,
        TimeDisplay::Absolute => TimeDisplay::Both,
    }
}

fn next_filter(filter: Filter) -> Filter {
    match filter {
        Filter::Present => Filter::Only(Status::Online),
        Filter::Only(Status::Online) => Filter::Only(Status::Idle),
        Filter::Only(Status::Idle) => Filter::Only(Status::DoNotDisturb),
        Filter::Only(Status::DoNotDisturb) => Filter::Only(Status::Offline),
        Filter::Only(Status::Offline) => Filter::Present,
    }
}

/// Sets the filter, and focuses the table if it was hidden.
pub(super) fn filter(model: &mut Model, filter: Filter) {
    model.table.set_filter(&model.known_users, filter);
    if Layout::of(model).users.is_empty() {
        focus(model, Panel::Users);
    }
}

fn sort(model: &mut Model, action: Action) {
    let column = model.table.sorted_by();
    match action {
        Action::Reverse => model.table.reverse(),
        Action::Sort(column) => model.table.sort(column),
        Action::NextSort => model.table.set_order(SortOrder::of(column.unwrap_or_default().next())),
        _ => model
            .table
            .set_order(SortOrder::of(column.unwrap_or_default().previous())),
    }
}

fn reconnect(model: &mut Model) -> Vec<Effect> {
    if matches!(model.connection, ConnectionState::Live | ConnectionState::Loading) {
        notify(model, "already connected", false);
        return Vec::new();
    }
    // Shows the attempt at once.
    let now = model.clock.mono;
    match &mut model.connection {
        ConnectionState::Lost { retry_at: Some(at), .. } => *at = now,
        ConnectionState::Ended { since, why, .. } => {
            let (since, why) = (*since, std::mem::take(why));
            let retry_at = Some(now);
            model.connection = ConnectionState::Lost { since, why, retry_at };
        }
        _ => {}
    }
    vec![Effect::Reconnect]
}

fn open_palette(model: &mut Model) {
    model.overlay = Some(Overlay::Palette(CommandPalette {
        panel: model.panel.key_context(),
        input: TextInput::default(),
        highlighted: 0,
    }));
}

fn open_prompt(model: &mut Model, prompt: impl Fn(UserId) -> Prompt) {
    let Some(user) = model.subject().cloned() else {
        return notify(model, "select a user first (↓, or / to search)", true);
    };
    if !can_change(model) {
        return;
    }
    let current = current_status(model, &user).map(MenuItem::Status);
    model.overlay = Some(Overlay::Menu(Menu::new(prompt(user)).with_current(current)));
}

/// The last known custom status of a user.
fn current_status(model: &Model, user: &UserId) -> Option<CustomStatus> {
    let listed = model.known_users.find(user).and_then(|(_, row)| row.custom_status);
    let explained = model.detail.as_ref().filter(|detail| detail.user == *user);
    listed.or_else(|| Some(explained?.explain.as_ref()?.choice.custom_status))
}

/// Whether changes can be requested; otherwise it shows why not.
pub(super) fn can_change(model: &mut Model) -> bool {
    let is_connected = model.is_connected();
    if !is_connected {
        notify(model, "not connected to the daemon: changes are not possible", true);
    }
    is_connected
}

fn copy(model: &mut Model) -> Vec<Effect> {
    let Some(user) = model.subject().cloned() else {
        notify(model, "select a user first (↓, or / to search)", true);
        return Vec::new();
    };
    let text = format!(
        "copied {} (if the terminal allows clipboard access)",
        quote(user.as_str())
    );
    notify(model, text, false);
    vec![Effect::Copy(user.as_str().to_owned())]
}
