//! Finding somebody: by some letters, by the whole id, present or not.

use super::super::super::model::Panel;
use super::*;

#[test]
fn a_user_is_found_and_explained_by_typing_a_part_of_its_id() {
    let mut model = with(&["ann", "bob", "hannah"]);
    type_text(&mut model, "/hann");
    assert_eq!(listed(&model), ["hannah"]);
    press_code(&mut model, Code::Enter);
    assert_eq!(model.table.selected(), Some(&user("hannah")));
    assert_eq!(
        press_code(&mut model, Code::Enter),
        [Effect::AskExplain(user("hannah"))]
    );
    press_code(&mut model, Code::Esc);
    assert!(model.detail.is_none());
    press_code(&mut model, Code::Esc);
    assert_eq!(listed(&model).len(), 3, "everyone again");
    assert_eq!(model.table.selected(), Some(&user("hannah")), "and still selected");
}

#[test]
fn whose_id_is_typed_whole_is_found_first() {
    let mut model = with(&["ANN", "Ann", "ann", "smith ann", "ann smith"]);
    for id in ["ann", "smith ann", "ann smith"] {
        type_text(&mut model, &format!("/{id}"));
        press_code(&mut model, Code::Enter);
        assert_eq!(model.table.selected(), Some(&user(id)));
        press_code(&mut model, Code::Esc);
        type_text(&mut model, "/");
        press(&mut model, Key::ctrl('u'));
        press_code(&mut model, Code::Esc);
    }
}

#[test]
fn a_user_who_is_not_present_is_asked_for_by_the_exact_id() {
    let mut model = with(&["ann"]);
    type_text(&mut model, "/zoe");
    assert_eq!(listed(&model), Vec::<String>::new());
    assert_eq!(press_code(&mut model, Code::Enter), [Effect::AskExplain(user("zoe"))]);
    assert_eq!((model.panel, model.table.query()), (Panel::Detail, ""));
    type_text(&mut model, "/");
    type_text(&mut model, "..");
    press_code(&mut model, Code::Enter);
    assert!(model.notice.as_ref().unwrap().is_error, "that is no user id");
}

#[test]
fn who_is_not_present_is_asked_for_although_others_have_such_an_id() {
    let mut model = with(&["user-10", "user-11"]);
    type_text(&mut model, "/user-1");
    assert_eq!(listed(&model).len(), 2);
    assert_eq!(press_code(&mut model, Code::Tab), [Effect::AskExplain(user("user-1"))]);
    assert_eq!((model.panel, model.table.query()), (Panel::Detail, ""));
    type_text(&mut model, "/");
    assert_eq!(press_code(&mut model, Code::Tab), []);
    assert!(model.search.is_some(), "nobody was typed");
}

#[test]
fn what_is_typed_while_searching_is_text_and_no_command() {
    let mut model = with(&["quinn"]);
    assert_eq!(type_text(&mut model, "/q K:?"), []);
    assert_eq!(model.table.query(), "q K:?");
    press(&mut model, Key::ctrl('u'));
    assert_eq!(listed(&model), ["quinn"]);
    assert_eq!(press(&mut model, Key::ctrl('c')), [Effect::Quit]);
}
