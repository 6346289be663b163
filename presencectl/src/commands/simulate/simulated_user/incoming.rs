//! What a simulated user makes of the messages that come.

use std::time::Duration;

use presence::Status;
use presence::wire::record::Update;
use presence::wire::server_message::ServerMessage;

use super::{Phase, SimulatedUser};
use crate::clock;

impl SimulatedUser {
    pub(super) fn on_message(&mut self, message: ServerMessage) {
        let now = clock::instant();
        let mut counters = self.simulation.counters.borrow_mut();
        match message {
            ServerMessage::Presence { users, cursor, .. } => {
                self.continuity.handle_cursor(cursor);
                for update in &users {
                    if let Some(person) = self
                        .simulation
                        .number_of(update.user_id().as_str())
                        .filter(|n| *n != self.number)
                    {
                        counters.delivered(person, update.revision(), now);
                    }
                }
                drop(counters);
                self.on_shown(&users);
            }
            ServerMessage::Snapshot {
                cursor,
                users,
                resumed,
                done,
                ..
            } => {
                self.continuity.handle_snapshot(cursor, done);
                counters.watches_resumed += u64::from(done && resumed);
                counters.watches_anew += u64::from(done && !resumed);
                drop(counters);
                self.on_shown(&users);
            }
            ServerMessage::Ok {
                resumed: Some(resumed), ..
            } => {
                counters.resumed += u64::from(resumed);
                counters.not_resumed += u64::from(!resumed);
            }
            ServerMessage::Ok { id: Some(id), user, .. } if id.as_u64() == self.pending.map(|(id, _)| id) => {
                self.pending = None;
                let revision = user.map(|record| Update::Record(record).revision());
                counters.change_acknowledged(self.number, revision, now);
            }
            ServerMessage::Error {
                code, retry_after_ms, ..
            } => {
                self.pending = None;
                match retry_after_ms {
                    Some(_) => counters.postponed += 1,
                    None => counters.error(code.to_string()),
                }
            }
            ServerMessage::Goodbye { reconnect_after_ms, .. } => {
                self.requested_delay = reconnect_after_ms.map(Duration::from_millis);
            }
            ServerMessage::Welcome { .. }
            | ServerMessage::Stale { .. }
            | ServerMessage::Ok { .. }
            | ServerMessage::Pong { .. } => {}
        }
    }

    /// The user signs out: it may be shown as OFFLINE once more.
    pub(super) fn sign_out(&mut self) {
        self.continuity.sign_out();
        let mut signed_out = self.simulation.signed_out.borrow_mut();
        if let Some(times) = usize::try_from(self.number).ok().and_then(|at| signed_out.get_mut(at)) {
            *times += 1;
        }
    }

    /// Others are told to be so. In the end all sign out.
    fn on_shown(&mut self, users: &[Update]) {
        if *self.phase.borrow() == Phase::Disconnecting {
            return;
        }
        let signed_out = self.simulation.signed_out.borrow();
        for update in users {
            let Some(person) = self.simulation.number_of(update.user_id().as_str()) else {
                continue;
            };
            let times = usize::try_from(person).ok().and_then(|at| signed_out.get(at));
            let is_offline = match update {
                Update::Record(record) => record.status == Status::Offline,
                Update::Removed(_) => true,
            };
            if self.continuity.saw(
                person,
                (is_offline, update.revision()),
                times.copied().unwrap_or_default(),
            ) {
                self.simulation.counters.borrow_mut().unexpected_offline += 1;
            }
        }
    }
}
