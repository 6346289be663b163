//! What is visible stays visible, and clicks refer to what was drawn.

use std::time::Duration;

use super::super::super::geometry::Position;
use super::super::super::key::{Gesture, Mouse};
use super::super::super::keymap::Filter;
use super::super::super::layout::{self, Layout};
use super::super::super::model::Panel;
use super::super::super::model::overlay::Overlay;
use super::*;

fn crowd() -> Model {
    let names: Vec<String> = (0..100).map(|number| format!("user-{number:02}")).collect();
    with(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn click(model: &mut Model, x: u16, y: u16) -> Vec<Effect> {
    let gesture = Gesture::Click;
    let at = Position::new(x, y);
    let effects = update(model, Message::Mouse(Mouse { gesture, at }));
    apply_pending(model);
    effects
}

fn is_in_sight(model: &Model) -> bool {
    let rows = Layout::of(model).rows_of(Panel::Users);
    let cursor = model.table.cursor().unwrap();
    (model.table.top()..model.table.top() + rows).contains(&cursor)
}

#[test]
fn the_selected_row_stays_visible_when_the_table_shrinks() {
    for is_paused in [false, true] {
        let mut model = crowd();
        model.size = Size { width: 80, height: 50 };
        for _ in 0..20 {
            press_code(&mut model, Code::Down);
        }
        if is_paused {
            type_text(&mut model, " ");
        }
        press_code(&mut model, Code::Enter);
        assert!(is_in_sight(&model), "next to the detail");
        update(&mut model, Message::Resized(Size { width: 80, height: 20 }));
        apply_pending(&mut model);
        assert!(is_in_sight(&model), "on a smaller screen");
    }
}

#[test]
fn a_larger_screen_is_filled_with_rows() {
    let mut model = crowd();
    press_code(&mut model, Code::End);
    update(&mut model, Message::Resized(Size { width: 120, height: 70 }));
    apply_pending(&mut model);
    let rows = Layout::of(&model).rows_of(Panel::Users);
    assert_eq!(model.table.window(rows).len(), rows);
}

#[test]
fn a_scroll_position_is_kept_when_the_stream_changes_rows() {
    let mut model = crowd();
    press_code(&mut model, Code::Down);
    let users = Layout::of(&model).users;
    let gesture = Gesture::WheelDown;
    for _ in 0..5 {
        let at = Position::new(users.x + 5, users.y + 5);
        update(&mut model, Message::Mouse(Mouse { gesture, at }));
        apply_pending(&mut model);
    }
    assert_eq!(model.table.top(), 15);
    update(&mut model, changed("user-50", Status::Idle, 9));
    apply_pending(&mut model);
    assert_eq!(model.table.top(), 15);
    press_code(&mut model, Code::Down);
    assert_eq!(model.table.selected(), Some(&user("user-01")));
    assert!(is_in_sight(&model));
}

#[test]
fn a_click_selects_the_row_that_was_drawn() {
    let mut model = crowd();
    let rows = Layout::of(&model).users_rows();
    update(&mut model, changed("a-new-one", Status::Online, 9));
    click(&mut model, rows.x + 2, rows.y + 3);
    assert_eq!(model.table.selected(), Some(&user("user-03")));
}

#[test]
fn a_click_on_a_change_refers_to_what_was_drawn() {
    let mut model = crowd();
    let change_log = Layout::of(&model).change_log.inside();
    let mut revision = 1;
    for number in 0..usize::from(change_log.height) {
        revision += 1;
        update(
            &mut model,
            changed(&format!("user-{number:02}"), Status::Idle, revision),
        );
    }
    apply_pending(&mut model);
    for number in 50..53 {
        update(&mut model, changed(&format!("user-{number:02}"), Status::Idle, 99));
    }
    click(&mut model, change_log.x + 2, change_log.y + 2);
    assert_eq!(model.table.selected(), Some(&user("user-02")));
}

#[test]
fn a_filter_shows_the_table_if_only_the_change_log_fitted() {
    let mut model = crowd();
    model.size = Size { width: 60, height: 12 };
    press_code(&mut model, Code::Tab);
    assert_eq!(model.panel, Panel::ChangeLog);
    type_text(&mut model, "1");
    assert_eq!(model.table.filter(), Filter::Only(Status::Online));
    assert!(!Layout::of(&model).users.is_empty());
}

#[test]
fn a_click_below_the_last_command_is_ignored() {
    let mut model = crowd();
    type_text(&mut model, ":quit");
    let entries = layout::overlay_entries(&model);
    assert_eq!(click(&mut model, entries.x + 2, entries.y + entries.height - 1), []);
    assert_eq!(press_code(&mut model, Code::Enter), [Effect::Quit]);
}

#[test]
fn a_confirmation_after_a_lost_connection_changes_nothing() {
    for keys in ["c3", "Ky", "Fy"] {
        let mut model = crowd();
        press_code(&mut model, Code::Down);
        type_text(&mut model, &keys[..1]);
        let lost = StreamEvent::Lost {
            why: "gone".to_owned(),
            retry_in: Duration::from_secs(1),
        };
        update(&mut model, Message::Stream(lost));
        assert_eq!(type_text(&mut model, &keys[1..]), [], "{keys}");
        assert!(model.overlay.is_none() && model.notice.as_ref().unwrap().is_error);
    }
}

#[test]
fn a_confirmation_keeps_its_user() {
    let mut model = crowd();
    press_code(&mut model, Code::Down);
    type_text(&mut model, "K");
    let removed = Update::Removed(presence::wire::record::Removed {
        user_id: user("user-00"),
        revision: presence::Revision::new(9),
        removed: true,
    });
    let now = at(0).wall;
    let users = vec![removed];
    update(&mut model, Message::Stream(StreamEvent::Changed { now, users }));
    apply_pending(&mut model);
    assert_eq!(model.table.selected(), Some(&user("user-01")));
    assert_eq!(type_text(&mut model, "y"), [Effect::Kick(user("user-00"))]);
}

#[test]
fn extreme_terminal_sizes_are_handled() {
    for (width, height) in [(u16::MAX, u16::MAX), (u16::MAX, 1), (1, u16::MAX), (0, 0)] {
        let mut model = crowd();
        update(&mut model, Message::Resized(Size { width, height }));
        for key in [Code::Down, Code::Enter, Code::End, Code::Tab, Code::PageUp] {
            press_code(&mut model, key);
        }
        type_text(&mut model, "?");
        assert!(matches!(model.overlay, Some(Overlay::Help { .. })));
    }
}

#[test]
fn the_table_keeps_its_position_while_it_is_hidden() {
    let mut model = crowd();
    for _ in 0..40 {
        press_code(&mut model, Code::Down);
    }
    for _ in 0..5 {
        press_code(&mut model, Code::Up);
    }
    let before = (model.table.top(), model.table.cursor());
    press_code(&mut model, Code::Tab);
    type_text(&mut model, "z");
    update(&mut model, changed("user-50", Status::Idle, 9));
    apply_pending(&mut model);
    type_text(&mut model, "z");
    assert_eq!((model.table.top(), model.table.cursor()), before);
}
