//! The position of the help, the palette and the menus, and their lines.

use unicode_width::UnicodeWidthStr;

use super::super::geometry::Area;
use super::super::keymap::{BINDINGS, KeyContext};
use super::super::model::Model;
use super::super::model::overlay::{Menu, Overlay};
use crate::output::escape::escape;

const MENU_COLUMNS: u16 = 60;
/// For a menu about a user with a long id: two lines hold any id without escapes.
const MENU_COLUMNS_MAX: u16 = 76;

/// Lines of the help: a title for each context, its keys, and blank lines between contexts.
pub(crate) fn help_rows() -> usize {
    let contexts = KeyContext::ALL.len();
    contexts * 2 - 1 + BINDINGS.iter().filter(|binding| !binding.keys.is_empty()).count()
}

pub(super) fn overlay(model: &Model) -> Area {
    let screen = Area::whole(model.size);
    match &model.overlay {
        None => Area::default(),
        Some(Overlay::Help { .. }) => {
            let rows = u16::try_from(help_rows()).unwrap_or(u16::MAX).saturating_add(2);
            screen.centred(76, rows)
        }
        Some(Overlay::Palette(_)) => screen.centred(64, 16),
        // The user, the entries, and a border.
        Some(Overlay::Menu(menu)) => {
            let entries = u16::try_from(menu.entries().len()).unwrap_or(u16::MAX);
            let width = if is_long(menu, MENU_COLUMNS) {
                MENU_COLUMNS_MAX
            } else {
                MENU_COLUMNS
            };
            screen.centred(width, entries + 2 + user_rows(model, menu))
        }
    }
}

/// Whether the menu's user needs more than one line of this width.
fn is_long(menu: &Menu, columns: u16) -> bool {
    let width = menu.user().map_or(0, |user| escape(user.as_str()).width());
    // A border and a blank on both sides.
    width + 4 > usize::from(columns)
}

/// Lines for the menu's user: a long id takes two, its beginning and its end, so that it can't be confused with
/// another.
fn user_rows(model: &Model, menu: &Menu) -> u16 {
    match menu.user() {
        None => 0,
        Some(_) => 1 + u16::from(is_long(menu, MENU_COLUMNS.min(model.size.width))),
    }
}

pub(crate) fn menu_user(model: &Model, menu: &Menu) -> Area {
    let inside = overlay(model).inside();
    let (mut lines, _) = inside.split_top(user_rows(model, menu));
    lines.x += 1;
    lines.width = lines.width.saturating_sub(2);
    lines
}

/// The lines inside an overlay with its entries, from the first.
pub(crate) fn overlay_entries(model: &Model) -> Area {
    let inside = overlay(model).inside();
    match &model.overlay {
        None | Some(Overlay::Help { .. }) => inside,
        // Below the input.
        Some(Overlay::Palette(_)) => inside.split_top(1).1,
        Some(Overlay::Menu(menu)) => inside.split_top(user_rows(model, menu)).1,
    }
}

/// The first visible entry of the palette; the highlighted one is always visible.
pub(crate) fn palette_top(highlighted: usize, rows: usize) -> usize {
    (highlighted + 1).saturating_sub(rows.max(1))
}
