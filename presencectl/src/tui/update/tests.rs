//! Updates: messages in, effects and a changed model out.

mod keys;
mod mouse;
mod searching;
mod server_clock;
mod visibility;
mod workflows;

use presence::wire::record::Update;
use presence::{Mono, Now, Status, Wall};

use super::super::effect::Effect;
use super::super::geometry::Size;
use super::super::key::{Code, Key};
use super::super::message::{Message, StreamEvent};
use super::super::model::tests::{update as user_update, user};
use super::super::model::{ConnectionState, Model};
use super::{apply_pending, update};

fn at(millis: u64) -> Now {
    Now {
        mono: Mono::from_millis(millis),
        wall: Wall::from_millis(1_000_000 + i64::try_from(millis).unwrap()),
    }
}

fn empty() -> Model {
    Model::new(Size { width: 120, height: 40 }, at(0))
}

fn connected() -> Message {
    Message::Stream(StreamEvent::Connected {
        server: "http://127.0.0.1:7420".to_owned(),
        node: "here".to_owned(),
        version: "1".to_owned(),
    })
}

fn snapshot(users: Vec<Update>, resumed: bool) -> Message {
    Message::Stream(StreamEvent::Snapshot {
        now: at(0).wall,
        users,
        resumed,
        done: true,
    })
}

fn changed(name: &str, status: Status, revision: u64) -> Message {
    Message::Stream(StreamEvent::Changed {
        now: at(0).wall,
        users: vec![user_update(name, status, revision)],
    })
}

/// A connected model with these users ONLINE.
fn with(names: &[&str]) -> Model {
    let mut model = empty();
    update(&mut model, connected());
    let users = names.iter().map(|name| user_update(name, Status::Online, 1)).collect();
    assert_eq!(update(&mut model, snapshot(users, false)), [Effect::FetchStats]);
    apply_pending(&mut model);
    assert_eq!(model.connection, ConnectionState::Live);
    model
}

fn press(model: &mut Model, key: Key) -> Vec<Effect> {
    let effects = update(model, Message::Key(key));
    apply_pending(model);
    effects
}

fn type_text(model: &mut Model, text: &str) -> Vec<Effect> {
    text.chars().flat_map(|c| press(model, Key::char(c))).collect()
}

fn press_code(model: &mut Model, code: Code) -> Vec<Effect> {
    press(model, Key::plain(code))
}

fn listed(model: &Model) -> Vec<String> {
    let name = |slot: &u32| model.known_users.row(*slot).unwrap().user.to_string();
    model.table.listed().iter().map(name).collect()
}
