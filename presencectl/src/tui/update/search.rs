//! The search input.

use presence::UserId;

use super::super::effect::Effect;
use super::super::keymap::Action;
use super::super::model::text_input::TextInput;
use super::super::model::{Model, Panel};
use super::motion::{self, Motion};
use super::{actions, apply_pending, notify};

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    if let Some(by) = Motion::of(action) {
        motion::select(model, by);
        return Vec::new();
    }
    match action {
        Action::Accept => accept(model),
        Action::Exactly => look_up_exact(model),
        Action::Cancel => {
            model.search = None;
            model.table.set_query("");
        }
        Action::Erase => edit(model, TextInput::erase),
        Action::EraseWord => edit(model, TextInput::erase_word),
        Action::EraseAll => edit(model, TextInput::clear),
        other => return actions::act(model, other),
    }
    Vec::new()
}

/// Applies the typed text.
pub(super) fn apply_input(model: &mut Model) {
    if let Some(input) = &model.search {
        model.table.set_query(input.text());
    }
}

fn edit(model: &mut Model, change: impl Fn(&mut TextInput)) {
    if let Some(input) = &mut model.search {
        change(input);
    }
    apply_input(model);
}

/// Ends the input and selects the best match. Without a match, it opens the detail of the user with exactly this id,
/// who may be OFFLINE.
fn accept(model: &mut Model) {
    let Some(input) = model.search.take() else {
        return;
    };
    apply_pending(model);
    if input.text().is_empty() {
        return;
    }
    if model.table.len() > 0 {
        if model.table.selected().is_none() {
            motion::select(model, Motion::First);
        }
        return;
    }
    look_up(model, input.text());
}

/// Opens the detail of the user with exactly this id although others match: OFFLINE users are not listed.
fn look_up_exact(model: &mut Model) {
    if let Some(input) = model.search.take_if(|input| !input.text().is_empty()) {
        look_up(model, input.text());
    }
}

fn look_up(model: &mut Model, id: &str) {
    model.table.set_query("");
    match UserId::new(id) {
        Ok(user) => {
            actions::explain(model, user);
            actions::focus(model, Panel::Detail);
        }
        Err(why) => notify(model, why.to_string(), true),
    }
}
