//! Finding users by parts of the id or by the exact id, present or not.

use super::super::super::model::Panel;
use super::*;

#[test]
fn a_user_is_found_by_a_part_of_the_id_and_explained() {
    let mut model = with(&["ann", "bob", "hannah"]);
    type_text(&mut model, "/hann");
    assert_eq!(listed(&model), ["hannah"]);
    press_code(&mut model, Code::Enter);
    assert_eq!(model.table.selected(), Some(&user("hannah")));
    assert_eq!(
        press_code(&mut model, Code::Enter),
        [Effect::FetchExplanation(user("hannah"))]
    );
    press_code(&mut model, Code::Esc);
    assert!(model.detail.is_none());
    press_code(&mut model, Code::Esc);
    assert_eq!(listed(&model).len(), 3, "all users are listed again");
    assert_eq!(model.table.selected(), Some(&user("hannah")), "the selection is kept");
}

#[test]
fn the_exact_id_is_the_first_match() {
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
fn an_offline_user_is_looked_up_by_the_exact_id() {
    let mut model = with(&["ann"]);
    type_text(&mut model, "/zoe");
    assert_eq!(listed(&model), Vec::<String>::new());
    assert_eq!(
        press_code(&mut model, Code::Enter),
        [Effect::FetchExplanation(user("zoe"))]
    );
    assert_eq!((model.panel, model.table.query()), (Panel::Detail, ""));
    type_text(&mut model, "/");
    type_text(&mut model, "..");
    press_code(&mut model, Code::Enter);
    assert!(model.notice.as_ref().unwrap().is_error, "invalid user id");
}

#[test]
fn an_exact_lookup_works_although_other_ids_match() {
    let mut model = with(&["user-10", "user-11"]);
    type_text(&mut model, "/user-1");
    assert_eq!(listed(&model).len(), 2);
    assert_eq!(
        press_code(&mut model, Code::Tab),
        [Effect::FetchExplanation(user("user-1"))]
    );
    assert_eq!((model.panel, model.table.query()), (Panel::Detail, ""));
    type_text(&mut model, "/");
    assert_eq!(press_code(&mut model, Code::Tab), []);
    assert!(model.search.is_some(), "nothing was typed");
}

#[test]
fn keys_typed_in_a_search_are_text() {
    let mut model = with(&["quinn"]);
    assert_eq!(type_text(&mut model, "/q K:?"), []);
    assert_eq!(model.table.query(), "q K:?");
    press(&mut model, Key::ctrl('u'));
    assert_eq!(listed(&model), ["quinn"]);
    assert_eq!(press(&mut model, Key::ctrl('c')), [Effect::Quit]);
}
