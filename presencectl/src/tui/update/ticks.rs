//! The passing of time: history samples, expiring notices, and periodic requests.

use std::time::Duration;

use presence::{Now, UserId, Wall};

use super::super::effect::Effect;
use super::super::layout::Layout;
use super::super::model::history::{SECONDS_MAX, Sample};
use super::super::model::trouble::SILENCE_MAX;
use super::super::model::{ConnectionState, Model, Panel};

/// The interval of requests for the visible rows: their times and sessions change without events.
const REFRESH_EVERY: Duration = Duration::from_secs(2);
/// More rows than any screen has, and the limit of the request.
const REFRESH_MAX: usize = 1000;

pub(super) fn on_tick(model: &mut Model, now: Now) -> Vec<Effect> {
    if now.mono.since(model.clock.mono) >= SILENCE_MAX {
        model.resumed_at = now.mono;
    }
    model.clock = now;
    let (server, received_at) = model.server_clock;
    model.now = model.now.max(server.after(now.mono.since(received_at)));
    if model.notice.as_ref().is_some_and(|notice| notice.until <= now.mono) {
        model.notice = None;
    }
    let second = now.mono.as_millis() / 1000;
    if second == model.second {
        return Vec::new();
    }
    let seconds = usize::try_from(second.saturating_sub(model.second)).unwrap_or(SECONDS_MAX);
    model.second = second;
    count_seconds(model, seconds.min(SECONDS_MAX));
    poll(model)
}

/// Takes over the server's clock from a message.
pub(super) fn on_server_clock(model: &mut Model, server: Wall) {
    model.server_clock = (server, model.clock.mono);
    model.heard_at = model.clock.mono;
    // A daemon's clock never goes back during its life. Times of this machine, or of another daemon, do not bound it.
    model.now = if std::mem::take(&mut model.is_clock_new) {
        server
    } else {
        model.now.max(server)
    };
}

fn count_seconds(model: &mut Model, seconds: usize) {
    let sample = Sample {
        users: model.known_users.counts(),
        changes: std::mem::take(&mut model.changes),
        is_known: matches!(model.connection, ConnectionState::Live) && model.silence().is_none(),
    };
    if let Some(silence) = model.silence() {
        // The newest of them is the sample that follows.
        let silent = usize::try_from(silence.as_secs()).unwrap_or(SECONDS_MAX);
        model.history.forget_last(silent.saturating_sub(1));
    }
    // If this process was stopped, the missing seconds are unknown, and so is the time of the changes.
    for _ in 1..seconds {
        model.history.push(Sample {
            changes: 0,
            is_known: false,
            ..sample
        });
    }
    model.history.push(sample);
}

fn poll(model: &mut Model) -> Vec<Effect> {
    if !matches!(model.connection, ConnectionState::Live) {
        return Vec::new();
    }
    let mut effects = Vec::new();
    if !std::mem::replace(&mut model.pending.stats, true) {
        effects.push(Effect::FetchStats);
    }
    effects.extend(poll_records(model));
    effects
}

fn poll_records(model: &mut Model) -> Option<Effect> {
    let rows = Layout::of(model).rows_of(Panel::Users).min(REFRESH_MAX - 1);
    let in_sight = model.table.window(rows).iter();
    let mut users: Vec<UserId> = in_sight
        .filter_map(|slot| model.known_users.row(*slot))
        .map(|row| row.user.clone())
        .collect();
    // The user in the detail may be out of sight, or not listed at all.
    let explained = model.detail.as_ref().map(|detail| &detail.user);
    users.extend(explained.filter(|user| !users.contains(user)).cloned());
    let waited = model.pending.records_at.map(|at| model.clock.mono.since(at));
    let is_due = waited.is_none_or(|waited| waited >= REFRESH_EVERY) || users != model.pending.records_of;
    if users.is_empty() || model.pending.records || !is_due {
        return None;
    }
    model.pending.records = true;
    model.pending.records_at = Some(model.clock.mono);
    model.pending.records_of.clone_from(&users);
    Some(Effect::FetchRecords(users))
}
