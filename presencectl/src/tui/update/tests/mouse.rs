//! Mouse actions at the positions where things are drawn.

use super::super::super::geometry::{Area, Position};
use super::super::super::key::{Gesture, Mouse};
use super::super::super::keymap::Filter;
use super::super::super::layout::{self, Layout};
use super::super::super::model::Panel;
use super::super::super::model::overlay::{Menu, Overlay, Prompt};
use super::super::super::model::user_column::UserColumn;
use super::*;

fn mouse(model: &mut Model, gesture: Gesture, x: u16, y: u16) -> Vec<Effect> {
    let at = Position::new(x, y);
    let effects = update(model, Message::Mouse(Mouse { gesture, at }));
    apply_pending(model);
    effects
}

fn click(model: &mut Model, area: Area, row: u16) -> Vec<Effect> {
    mouse(model, Gesture::Click, area.x + 2, area.y + row)
}

fn crowd() -> Model {
    let names: Vec<String> = (0..100).map(|number| format!("user-{number:02}")).collect();
    with(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_click_selects_a_row_and_a_second_one_explains_it() {
    let mut model = crowd();
    let rows = Layout::of(&model).users_rows();
    assert_eq!(click(&mut model, rows, 3), []);
    assert_eq!(model.table.selected(), Some(&user("user-03")));
    assert_eq!(click(&mut model, rows, 3), [Effect::FetchExplanation(user("user-03"))]);
    assert_eq!(
        click(&mut model, rows, 5),
        [Effect::FetchExplanation(user("user-05"))],
        "the detail follows"
    );
}

#[test]
fn a_click_on_a_heading_sorts_and_a_second_one_reverses() {
    let mut model = crowd();
    let head = Layout::of(&model).users_head();
    for place in layout::columns(&model, head).into_iter().skip(1) {
        mouse(&mut model, Gesture::Click, place.x, head.y);
        let order = model.table.order().unwrap();
        assert_eq!(order.column, place.column);
        mouse(&mut model, Gesture::Click, place.x + place.width - 1, head.y);
        let reversed = model.table.order().unwrap();
        assert_eq!(
            (reversed.column, reversed.is_descending),
            (place.column, !order.is_descending)
        );
    }
    assert_ne!(model.table.order().unwrap().column, UserColumn::User);
}

#[test]
fn the_wheel_scrolls_the_panel_and_keeps_the_selection() {
    let mut model = crowd();
    let layout = Layout::of(&model);
    press_code(&mut model, Code::Down);
    mouse(&mut model, Gesture::WheelDown, layout.users.x + 5, layout.users.y + 5);
    assert_eq!(model.table.top(), 3);
    assert_eq!(model.table.selected(), Some(&user("user-00")));
    for revision in 2..60 {
        update(
            &mut model,
            changed("user-01", Status::ALL[revision % 2], revision as u64),
        );
    }
    mouse(
        &mut model,
        Gesture::WheelUp,
        layout.change_log.x + 1,
        layout.change_log.y + 1,
    );
    assert_eq!(model.change_log.unseen(), 3);
    assert_eq!(model.panel, Panel::Users);
}

#[test]
fn a_click_on_a_change_selects_its_user() {
    let mut model = crowd();
    update(&mut model, changed("user-42", Status::Idle, 9));
    apply_pending(&mut model);
    let change_log = Layout::of(&model).change_log.inside();
    click(&mut model, change_log, 0);
    assert_eq!(
        (model.panel, model.table.selected()),
        (Panel::ChangeLog, Some(&user("user-42")))
    );
    click(&mut model, change_log, 5);
    assert_eq!(
        model.table.selected(),
        Some(&user("user-42")),
        "no change is at this position"
    );
}

#[test]
fn a_click_on_an_overview_status_toggles_its_filter() {
    let mut model = crowd();
    let idle = Layout::of(&model).status_line(1);
    click(&mut model, idle, 0);
    assert_eq!(model.table.filter(), Filter::Only(Status::Idle));
    click(&mut model, idle, 0);
    assert_eq!(model.table.filter(), Filter::Present);
}

#[test]
fn a_click_confirms_a_menu_item_and_one_outside_closes_it() {
    let mut model = crowd();
    model.overlay = Some(Overlay::Menu(Menu::new(Prompt::Kick(user("user-01")))));
    let entries = layout::overlay_entries(&model);
    assert_eq!(mouse(&mut model, Gesture::Click, 0, 0), []);
    assert_eq!(model.overlay, None);
    model.overlay = Some(Overlay::Menu(Menu::new(Prompt::Kick(user("user-01")))));
    assert_eq!(click(&mut model, entries, 0), [], "the first item is no");
    model.overlay = Some(Overlay::Menu(Menu::new(Prompt::Kick(user("user-01")))));
    assert_eq!(click(&mut model, entries, 1), [Effect::Kick(user("user-01"))]);
}

#[test]
fn a_click_on_a_key_hint_presses_the_key() {
    let mut model = crowd();
    let footer = Layout::of(&model).footer;
    let at = |model: &Model, text: &str| {
        let hints = layout::hints(model);
        hints.iter().find(|hint| hint.text == text).unwrap().x
    };
    let x = at(&model, "filter");
    mouse(&mut model, Gesture::Click, x, footer.y);
    assert_eq!(model.table.filter(), Filter::Only(Status::Online));
    let x = at(&model, "commands");
    mouse(&mut model, Gesture::Click, x, footer.y);
    assert!(matches!(model.overlay, Some(Overlay::Palette(_))));
    let x = at(&model, "close");
    mouse(&mut model, Gesture::Click, x, footer.y);
    assert!(model.overlay.is_none());
}

#[test]
fn clicks_at_every_position_are_handled() {
    for (width, height) in [(120, 40), (80, 24), (40, 10), (5, 5), (1, 1)] {
        let mut model = crowd();
        model.size = layout::size(width, height);
        for y in 0..height {
            for x in 0..width {
                for gesture in [Gesture::Click, Gesture::WheelUp, Gesture::WheelDown] {
                    mouse(&mut model, gesture, x, y);
                }
            }
        }
    }
}
