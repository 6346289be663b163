//! Actions in overlays: help, palette, menus and confirmations.

use presence::wire::record::Record;

use super::super::effect::{Effect, ExportData, ExportFormat};
use super::super::keymap::{Action, Binding};
use super::super::layout::{self, Layout};
use super::super::model::Model;
use super::super::model::known_users::{KnownUsers, Row};
use super::super::model::overlay::{CommandPalette, Menu, MenuItem, Overlay, Prompt};
use super::actions;
use super::apply_pending;
use super::motion::Motion;

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    if action == Action::Cancel {
        model.overlay = None;
        return Vec::new();
    }
    let help_rows = usize::from(Layout::of(model).overlay.inside().height);
    match &mut model.overlay {
        Some(Overlay::Help { top }) if Motion::of(action).is_some() => {
            scroll_help(top, action, help_rows);
            Vec::new()
        }
        Some(Overlay::Palette(palette)) => {
            if let Some(binding) = command_for(palette, action) {
                model.overlay = None;
                return actions::act(model, binding.action);
            }
            always(model, action)
        }
        Some(Overlay::Menu(menu)) => match item_for(menu, action) {
            Some(item) => {
                let menu = menu.clone();
                model.overlay = None;
                take(model, menu.prompt, item)
            }
            None => always(model, action),
        },
        _ => always(model, action),
    }
}

pub(super) fn click(model: &mut Model, index: usize) -> Vec<Effect> {
    let rows = usize::from(layout::overlay_entries(model).height);
    match &mut model.overlay {
        Some(Overlay::Palette(palette)) => {
            let highlighted = layout::palette_top(palette.highlighted, rows) + index;
            if highlighted >= palette.matches().len() {
                return Vec::new();
            }
            palette.highlighted = highlighted;
            act(model, Action::Accept)
        }
        Some(Overlay::Menu(_)) => act(model, Action::Choose(u8::try_from(index + 1).unwrap_or(u8::MAX))),
        _ => Vec::new(),
    }
}

/// Actions that work in every context.
fn always(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Quit | Action::Suspend | Action::Repaint => actions::act(model, action),
        _ => Vec::new(),
    }
}

fn scroll_help(top: &mut usize, action: Action, rows: usize) {
    let page = rows.saturating_sub(1).max(1);
    let wanted = match action {
        Action::Up => top.saturating_sub(1),
        Action::Down => *top + 1,
        Action::PageUp => top.saturating_sub(page),
        Action::PageDown => *top + page,
        Action::First => 0,
        _ => usize::MAX,
    };
    *top = wanted.min(layout::help_rows().saturating_sub(rows));
}

/// The confirmed command, if any.
fn command_for(palette: &mut CommandPalette, action: Action) -> Option<&'static Binding> {
    let found = palette.matches();
    let last = found.len().saturating_sub(1);
    match action {
        Action::Accept => return found.get(palette.highlighted).copied(),
        Action::Up => palette.highlighted = palette.highlighted.saturating_sub(1),
        Action::Down => palette.highlighted = (palette.highlighted + 1).min(last),
        Action::Erase => palette.input.erase(),
        Action::EraseWord => palette.input.erase_word(),
        Action::EraseAll => palette.input.clear(),
        _ => {}
    }
    if matches!(action, Action::Erase | Action::EraseWord | Action::EraseAll) {
        palette.highlighted = 0;
    }
    None
}

/// The confirmed item, if any.
fn item_for(menu: &mut Menu, action: Action) -> Option<MenuItem> {
    let entries = menu.entries();
    match action {
        Action::Accept => return entries.get(menu.highlighted).map(|(item, _)| *item),
        Action::Choose(number) => {
            let index = usize::from(number).checked_sub(1)?;
            return entries.get(index).map(|(item, _)| *item);
        }
        Action::Yes if menu.is_question() => return Some(MenuItem::Yes),
        Action::Up => menu.highlighted = menu.highlighted.saturating_sub(1),
        Action::Down => menu.highlighted = (menu.highlighted + 1).min(entries.len() - 1),
        _ => {}
    }
    None
}

fn take(model: &mut Model, prompt: Prompt, item: MenuItem) -> Vec<Effect> {
    // If the connection was lost meanwhile, the change must not be carried out at an unknown later time.
    let is_change = matches!(prompt, Prompt::Status(_) | Prompt::Kick(_) | Prompt::Forget(_)) && item != MenuItem::No;
    if is_change && !actions::can_change(model) {
        return Vec::new();
    }
    let effect = match (prompt, item) {
        (Prompt::Status(user), MenuItem::Status(status)) => Effect::SetStatus { user, status },
        (Prompt::Kick(user), MenuItem::Yes) => Effect::Kick(user),
        (Prompt::Forget(user), MenuItem::Yes) => Effect::Forget(user),
        (Prompt::ExportUsers, MenuItem::Format(format)) => export_users(model, format),
        (Prompt::ExportChanges, MenuItem::Format(format)) => Effect::Export {
            what: ExportData::Changes(model.change_log.all().cloned().collect()),
            format,
            now: model.now,
        },
        _ => return Vec::new(),
    };
    vec![effect]
}

fn export_users(model: &mut Model, format: ExportFormat) -> Effect {
    apply_pending(model);
    let rows = model
        .table
        .listed()
        .iter()
        .filter_map(|slot| model.known_users.shown(*slot));
    Effect::Export {
        what: ExportData::Users(rows.map(|row| record(&model.known_users, row)).collect()),
        format,
        now: model.now,
    }
}

fn record(known_users: &KnownUsers, row: &Row) -> Record {
    let nodes = known_users
        .node_name(row)
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    Record {
        user_id: row.user.clone(),
        status: row.status,
        since: row.since,
        last_seen: row.last_seen,
        last_active: row.last_active,
        revision: row.revision,
        degraded: row.note.is_some_and(|note| note.contains("degraded")),
        stale: row.note.is_some_and(|note| note.contains("stale")),
        custom_status: row.custom_status,
        custom_status_set_by: row.set_by,
        sessions: Some(row.sessions),
        reason: row.reason,
        nodes: Some(nodes),
    }
}
