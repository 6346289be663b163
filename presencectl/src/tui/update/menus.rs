//! Help, the palette, menus and questions: what lies over the panels.

use presence::wire::record::Record;

use super::super::effect::{Effect, ExportFormat, Exported};
use super::super::keymap::{Action, Binding};
use super::super::layout::{self, Layout};
use super::super::model::Model;
use super::super::model::known_users::{KnownUsers, Row};
use super::super::model::overlay::{Ask, Choice, Menu, Overlay, Palette};
use super::actions;
use super::moves::Move;
use super::settle;

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    if action == Action::Cancel {
        model.overlay = None;
        return Vec::new();
    }
    let help_rows = usize::from(Layout::of(model).overlay.inside().height);
    match &mut model.overlay {
        Some(Overlay::Help { top }) if Move::of(action).is_some() => {
            scroll_help(top, action, help_rows);
            Vec::new()
        }
        Some(Overlay::Palette(palette)) => {
            if let Some(binding) = in_palette(palette, action) {
                model.overlay = None;
                return actions::act(model, binding.action);
            }
            always(model, action)
        }
        Some(Overlay::Menu(menu)) => match in_menu(menu, action) {
            Some(choice) => {
                let menu = menu.clone();
                model.overlay = None;
                take(model, menu.ask, choice)
            }
            None => always(model, action),
        },
        _ => always(model, action),
    }
}

/// A click on an entry takes it.
pub(super) fn click(model: &mut Model, index: usize) -> Vec<Effect> {
    let rows = usize::from(layout::overlay_entries(model).height);
    match &mut model.overlay {
        Some(Overlay::Palette(palette)) => {
            let chosen = layout::palette_top(palette.chosen, rows) + index;
            if chosen >= palette.found().len() {
                return Vec::new();
            }
            palette.chosen = chosen;
            act(model, Action::Accept)
        }
        Some(Overlay::Menu(_)) => act(model, Action::Choose(u8::try_from(index + 1).unwrap_or(u8::MAX))),
        _ => Vec::new(),
    }
}

/// What works whatever is on the screen.
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

/// The command taken, if one is.
fn in_palette(palette: &mut Palette, action: Action) -> Option<&'static Binding> {
    let found = palette.found();
    let last = found.len().saturating_sub(1);
    match action {
        Action::Accept => return found.get(palette.chosen).copied(),
        Action::Up => palette.chosen = palette.chosen.saturating_sub(1),
        Action::Down => palette.chosen = (palette.chosen + 1).min(last),
        Action::Erase => palette.input.erase(),
        Action::EraseWord => palette.input.erase_word(),
        Action::EraseAll => palette.input.clear(),
        _ => {}
    }
    if matches!(action, Action::Erase | Action::EraseWord | Action::EraseAll) {
        palette.chosen = 0;
    }
    None
}

/// What is taken, if something is.
fn in_menu(menu: &mut Menu, action: Action) -> Option<Choice> {
    let entries = menu.entries();
    match action {
        Action::Accept => return entries.get(menu.chosen).map(|(choice, _)| *choice),
        Action::Choose(number) => {
            let index = usize::from(number).checked_sub(1)?;
            return entries.get(index).map(|(choice, _)| *choice);
        }
        Action::Yes if menu.is_question() => return Some(Choice::Yes),
        Action::Up => menu.chosen = menu.chosen.saturating_sub(1),
        Action::Down => menu.chosen = (menu.chosen + 1).min(entries.len() - 1),
        _ => {}
    }
    None
}

fn take(model: &mut Model, ask: Ask, choice: Choice) -> Vec<Effect> {
    // The daemon may have been lost since it was asked; an order now would be carried out who knows when.
    let is_order = matches!(ask, Ask::Status(_) | Ask::Kick(_) | Ask::Forget(_)) && choice != Choice::No;
    if is_order && !actions::can_change(model) {
        return Vec::new();
    }
    let effect = match (ask, choice) {
        (Ask::Status(user), Choice::Status(choice)) => Effect::SetStatus { user, choice },
        (Ask::Kick(user), Choice::Yes) => Effect::Kick(user),
        (Ask::Forget(user), Choice::Yes) => Effect::Forget(user),
        (Ask::ExportUsers, Choice::Format(format)) => export_users(model, format),
        (Ask::ExportChanges, Choice::Format(format)) => Effect::Export {
            what: Exported::Changes(model.change_log.all().cloned().collect()),
            format,
            now: model.now,
        },
        _ => return Vec::new(),
    };
    vec![effect]
}

fn export_users(model: &mut Model, format: ExportFormat) -> Effect {
    settle(model);
    let rows = model
        .table
        .listed()
        .iter()
        .filter_map(|slot| model.known_users.row(*slot));
    Effect::Export {
        what: Exported::Users(rows.map(|row| record(&model.known_users, row)).collect()),
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
        custom_status: row.choice,
        sessions: Some(row.sessions),
        reason: row.reason,
        nodes: Some(nodes),
    }
}
