//! Events of the stream from the daemon: connected, snapshot, changes, lost, ended.

use std::time::Duration;

use presence::wire::record::Update;
use presence::{Mono, Wall};

use super::super::effect::Effect;
use super::super::message::StreamEvent;
use super::super::model::change_log::Change;
use super::super::model::trouble::SILENCE_MAX;
use super::super::model::{ConnectionState, Daemon, Model, PendingRequests};
use super::ticks::on_server_clock;
use super::{apply_pending, notify};
use crate::tui::layout::Layout;
use crate::tui::model::Panel;

pub(super) fn on_stream_event(model: &mut Model, event: StreamEvent) -> Vec<Effect> {
    match event {
        StreamEvent::Connected { server, node, version } => {
            model.daemon = Daemon { server, node, version };
            model.known_users.begin_snapshot();
            model.pending = PendingRequests::default();
            model.is_clock_new = true;
            model.is_stale = false;
            match &mut model.connection {
                ConnectionState::Lost { retry_at, .. } if model.known_users.is_started() => *retry_at = None,
                _ if model.known_users.is_started() => {}
                state => *state = ConnectionState::Loading,
            }
            Vec::new()
        }
        StreamEvent::Snapshot {
            now,
            users,
            resumed,
            done,
        } => {
            on_server_clock(model, now);
            let changes = model.known_users.apply(users, now);
            push(model, changes);
            match done {
                true => on_snapshot_end(model, resumed, now),
                false => Vec::new(),
            }
        }
        StreamEvent::Changed { now, users } => {
            on_server_clock(model, now);
            mark_detail(model, &users);
            model.changes += users.len() as u64;
            let changes = model.known_users.apply(users, now);
            push(model, changes);
            Vec::new()
        }
        StreamEvent::Stale(is_stale) => {
            model.is_stale = is_stale;
            Vec::new()
        }
        StreamEvent::Lost { why, retry_in } => {
            on_lost(model, why, retry_in);
            Vec::new()
        }
        StreamEvent::Ended { why, next } => {
            let since = stale_since(model);
            model.connection = ConnectionState::Ended { since, why, next };
            Vec::new()
        }
    }
}

fn on_snapshot_end(model: &mut Model, resumed: bool, now: Wall) -> Vec<Effect> {
    let changes = model.known_users.end_snapshot(!resumed, now);
    push(model, changes);
    if model.connection.stale_since().is_some() {
        notify(model, "reconnected; the data is current", false);
    }
    model.connection = ConnectionState::Live;
    if let Some(detail) = &mut model.detail {
        detail.is_outdated = true;
    }
    if let Some(user) = model.initial_user.take() {
        apply_pending(model);
        let rows = Layout::of(model).rows_of(Panel::Users);
        model.table.select_user(&model.known_users, &user, rows);
    }
    model.pending.stats = true;
    vec![Effect::FetchStats]
}

fn on_lost(model: &mut Model, why: String, retry_in: Duration) {
    let since = stale_since(model);
    model.connection = ConnectionState::Lost {
        since,
        why,
        retry_at: Some(model.clock.mono.after(retry_in)),
    };
    // The response will not come.
    if let Some(detail) = &mut model.detail {
        detail.is_requested = false;
    }
}

/// Since when the data is outdated. Statistics arrive every second: after a longer silence the connection was lost
/// before that was noticed.
fn stale_since(model: &Model) -> Mono {
    let (now, heard_at) = (model.clock.mono, model.heard_at);
    let lost_at = if now.since(heard_at) > SILENCE_MAX {
        heard_at
    } else {
        now
    };
    model.connection.stale_since().unwrap_or(lost_at)
}

fn mark_detail(model: &mut Model, users: &[Update]) {
    if let Some(detail) = &mut model.detail {
        detail.is_outdated |= users.iter().any(|update| *update.user_id() == detail.user);
    }
}

fn push(model: &mut Model, changes: Vec<Change>) {
    for change in changes {
        model.change_log.push(change);
    }
}
