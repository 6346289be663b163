//! State transitions: a message changes the model and returns effects. Never waits, reads no clock, draws nothing; one
//! file per kind of message.

mod actions;
mod menus;
mod motion;
mod mouse;
mod responses;
mod search;
mod stream_events;
#[cfg(test)]
mod tests;
mod ticks;

use std::time::Duration;

use super::effect::Effect;
use super::key::{Code, Key};
use super::keymap::{self, KeyContext};
use super::layout::Layout;
use super::message::Message;
use super::model::overlay::Overlay;
use super::model::{Model, NOTICE_STANDS, Notice, Panel};

/// The interval of requests for an explanation: its times change without events.
const EXPLAIN_EVERY: Duration = Duration::from_secs(2);
/// The minimum interval, however often the user changes.
const EXPLAIN_AT_MOST_EVERY: Duration = Duration::from_millis(200);

pub(crate) fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let context = model.key_context();
    let mut effects = match message {
        Message::Key(key) => on_key(model, key),
        Message::Mouse(mouse) => mouse::on_mouse(model, mouse),
        Message::Paste(text) => on_text(model, &text),
        Message::Resized(size) => {
            model.size = size;
            Vec::new()
        }
        Message::Tick(now) => ticks::on_tick(model, now),
        Message::Stream(event) => stream_events::on_stream_event(model, event),
        Message::Response(response) => responses::on_response(model, response),
    };
    let is_over = matches!(
        model.key_context(),
        KeyContext::Search | KeyContext::Palette | KeyContext::Menu | KeyContext::Help
    );
    if is_over && model.key_context() != context {
        // The footer must show the keys of the new context.
        model.notice = None;
    }
    effects.extend(explain_if_due(model));
    effects
}

/// Applies pending changes to the table and the change log: before each frame, and before anything that depends on rows.
pub(crate) fn apply_pending(model: &mut Model) {
    let rows = Layout::of(model).rows_of(Panel::Users);
    model.table.apply_pending(&mut model.known_users, rows);
    model.change_log.mark_drawn();
}

fn on_key(model: &mut Model, key: Key) -> Vec<Effect> {
    let context = model.key_context();
    if let Some(action) = keymap::action(context, key) {
        return match context {
            KeyContext::Search => search::act(model, action),
            KeyContext::Palette | KeyContext::Menu | KeyContext::Help => menus::act(model, action),
            _ => actions::act(model, action),
        };
    }
    match key.code {
        Code::Char(c) if !key.ctrl && !key.alt => on_text(model, c.encode_utf8(&mut [0; 4])),
        _ => Vec::new(),
    }
}

/// Inserts text into the open input. Without one it is ignored: pasted text is never a command.
fn on_text(model: &mut Model, text: &str) -> Vec<Effect> {
    match (&mut model.overlay, &mut model.search) {
        (Some(Overlay::Palette(palette)), _) => {
            palette.input.insert(text);
            palette.highlighted = 0;
        }
        (None, Some(input)) => {
            input.insert(text);
            search::apply_input(model);
        }
        _ => {}
    }
    Vec::new()
}

/// Shows a notice.
fn notify(model: &mut Model, text: impl Into<String>, is_error: bool) {
    model.notice = Some(Notice {
        text: text.into(),
        is_error,
        until: model.clock.mono.after(NOTICE_STANDS),
    });
}

fn explain_if_due(model: &mut Model) -> Option<Effect> {
    let (now, is_connected) = (model.clock.mono, model.is_connected());
    let detail = model.detail.as_mut()?;
    let waited = detail.requested_at.map(|at| now.since(at));
    let is_due = match waited {
        None => true,
        Some(waited) if detail.is_outdated => waited >= EXPLAIN_AT_MOST_EVERY,
        Some(waited) => waited >= EXPLAIN_EVERY,
    };
    if !is_connected || detail.is_requested || !is_due {
        return None;
    }
    (detail.requested_at, detail.is_requested, detail.is_outdated) = (Some(now), true, false);
    Some(Effect::FetchExplanation(detail.user.clone()))
}
