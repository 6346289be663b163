//! Mouse events; the layout tells what is at a position.

use presence::Status;

use super::super::effect::Effect;
use super::super::geometry::{Area, Position};
use super::super::key::{Gesture, Mouse};
use super::super::keymap::{Action, Filter};
use super::super::layout::{self, Layout};
use super::super::model::overlay::Overlay;
use super::super::model::{Model, Panel};
use super::motion::{self, Motion};
use super::{actions, menus};

/// Lines per notch of the wheel.
const WHEEL_LINES: i64 = 3;
/// The status lines of the overview.
const STATUSES: [Status; 3] = [Status::Online, Status::Idle, Status::DoNotDisturb];

pub(super) fn on_mouse(model: &mut Model, mouse: Mouse) -> Vec<Effect> {
    // Pending changes are not applied first: a click refers to what was drawn.
    let layout = Layout::of(model);
    let Mouse { gesture, at } = mouse;
    if gesture == Gesture::Click && layout.footer.holds(at) {
        return click_hint(model, at.x);
    }
    if model.overlay.is_some() {
        return over_panels(model, gesture, at);
    }
    let panels = [Panel::Users, Panel::ChangeLog, Panel::Detail];
    let panel = panels.into_iter().find(|panel| layout.panel(*panel).holds(at));
    match (gesture, panel) {
        (Gesture::WheelUp, Some(panel)) => scroll(model, panel, -WHEEL_LINES),
        (Gesture::WheelDown, Some(panel)) => scroll(model, panel, WHEEL_LINES),
        (Gesture::Click, Some(panel)) => return click(model, &layout, panel, at),
        (Gesture::Click, None) => click_overview(model, &layout, at),
        _ => {}
    }
    Vec::new()
}

/// A click on a hint presses its key. There are no hints while a notice is shown.
fn click_hint(model: &mut Model, x: u16) -> Vec<Effect> {
    let hints = layout::hints(model);
    let hit = hints.iter().find(|hint| (hint.x..hint.x + hint.width).contains(&x));
    match hit.filter(|_| model.notice.is_none()) {
        Some(hint) => super::on_key(model, hint.key),
        None => Vec::new(),
    }
}

fn over_panels(model: &mut Model, gesture: Gesture, at: Position) -> Vec<Effect> {
    let entries = layout::overlay_entries(model);
    let is_inside = Layout::of(model).overlay.holds(at);
    match gesture {
        Gesture::WheelUp => menus::act(model, Action::Up),
        Gesture::WheelDown => menus::act(model, Action::Down),
        Gesture::Click if entries.holds(at) && !matches!(model.overlay, Some(Overlay::Help { .. })) => {
            menus::click(model, usize::from(at.y - entries.y))
        }
        Gesture::Click if is_inside => Vec::new(),
        Gesture::Click => menus::act(model, Action::Cancel),
    }
}

fn scroll(model: &mut Model, panel: Panel, lines: i64) {
    match panel {
        Panel::Users => {
            let rows = Layout::of(model).rows_of(Panel::Users);
            model.table.scroll(lines, rows);
        }
        Panel::ChangeLog => motion::scroll_change_log(model, Motion::Lines(lines)),
        Panel::Detail => motion::scroll_detail(model, Motion::Lines(lines)),
    }
}

fn click(model: &mut Model, layout: &Layout, panel: Panel, at: Position) -> Vec<Effect> {
    // A click closes the search input; the search stays.
    model.search = None;
    actions::focus(model, panel);
    match panel {
        Panel::Users => click_table(model, layout, at),
        Panel::ChangeLog => click_change_log(model, layout.change_log.inside(), at),
        Panel::Detail => {}
    }
    Vec::new()
}

fn click_table(model: &mut Model, layout: &Layout, at: Position) {
    let (head, rows) = (layout.users_head(), layout.users_rows());
    if head.holds(at) {
        let columns = layout::columns(model, head);
        let hit = columns.iter().rfind(|place| place.x <= at.x);
        if let Some(place) = hit {
            model.table.sort(place.column);
        }
    } else if rows.holds(at) {
        let index = model.table.top() + usize::from(at.y - rows.y);
        if index >= model.table.len() {
            return;
        }
        let is_again = model.table.cursor() == Some(index);
        model.table.select(&model.known_users, index, usize::from(rows.height));
        if is_again {
            actions::act(model, Action::Open);
        } else {
            motion::follow_selection(model);
        }
    }
}

/// A click on a change selects its user, if the table lists it.
fn click_change_log(model: &mut Model, rows: Area, at: Position) {
    if !rows.holds(at) {
        return;
    }
    let change = model
        .change_log
        .drawn(usize::from(rows.height))
        .nth(usize::from(at.y - rows.y));
    if let Some(user) = change.map(|change| change.user.clone()) {
        let rows = Layout::of(model).rows_of(Panel::Users);
        if model.table.select_user(&model.known_users, &user, rows) {
            motion::follow_selection(model);
        }
    }
}

/// A click on a status filters by it; a second click removes the filter.
fn click_overview(model: &mut Model, layout: &Layout, at: Position) {
    if layout.overview.height < 2 {
        return;
    }
    for (index, status) in (0..).zip(STATUSES) {
        if layout.status_line(index).holds(at) {
            let wanted = Filter::Only(status);
            let filter = if model.table.filter() == wanted {
                Filter::Present
            } else {
                wanted
            };
            actions::filter(model, filter);
        }
    }
}
