//! Clients that come back name the session that they lost, wherever it was.

use presence::replication::Incarnation;
use presence::{Predecessor, SessionId, SessionName, UserId};

use super::deliver::TIMERS;
use super::world::World;

impl World {
    /// This client of a user lost its session, or its node is gone.
    pub(crate) fn note_lost(&mut self, user: &UserId, client: Option<(usize, Incarnation, SessionId)>) {
        if let Some((_, incarnation, session)) = client {
            let run = incarnation.run();
            self.lost.insert(user.clone(), SessionName { run, session });
        }
    }

    /// The client of the user is back with session `id`, and continues the one that it lost.
    pub(crate) fn resume_session(&mut self, index: usize, user: &UserId, id: SessionId) {
        let Some(of) = self.lost.remove(user) else { return };
        if of.run == self.nodes[index].incarnation.run() {
            return self.change(index, user, |shell, now| {
                let predecessor = Predecessor::Here(of.session);
                shell.sessions.handle_resume(now, id, predecessor, TIMERS.grace);
            });
        }
        let partition = self.nodes[index].partition_index(user);
        let activity = self.nodes[index].partitions[partition].claim_place(user, of);
        if let Some(activity) = activity {
            self.note(|| format!("node {index}: {user} continues {of}"));
            self.continued.entry(user.clone()).or_default().insert(of);
            self.change(index, user, |shell, now| {
                shell.sessions.handle_grace_elsewhere(now, id, activity, TIMERS.grace);
            });
        }
    }

    /// Sessions on other nodes continue these of this node.
    pub(crate) fn give_up_places(&mut self, index: usize, user: &UserId, sessions: &[SessionId]) {
        if self.nodes[index].users.contains_key(user) {
            self.change(index, user, |shell, now| {
                for session in sessions {
                    shell.sessions.handle_continued(now, *session);
                }
            });
        }
    }
}
