//! For how long what ended nodes contributed must count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use presence::replication::{Content, Incarnation, Reply, State};
use presence::{Revision, UserId};

use super::check_scripts::Actor;
use super::world::World;

/// The ends of registrations.
#[derive(Debug, Default)]
pub(crate) struct Graces {
    /// The last one of each incarnation in each partition.
    last: BTreeMap<(usize, Incarnation), LastEnd>,
    /// Who has read which entry of a partition from the log: they count by their own clocks.
    read: BTreeSet<(usize, Revision, Incarnation)>,
}

#[derive(Debug, Clone, Copy)]
struct LastEnd {
    /// The id of its entry in the log.
    id: Revision,
    /// When that came, and until when its contributions count, in virtual µs.
    since: u64,
    until: u64,
}

impl Graces {
    /// The incarnation is registered, and its contributions count in any case.
    pub(crate) fn forget(&mut self, partition: usize, incarnation: Incarnation) {
        self.last.remove(&(partition, incarnation));
    }
}

impl World {
    pub(crate) fn note_end(&mut self, actor: Actor, ended: Incarnation, id: Revision, grace: Duration) {
        let since = self.now;
        let until = since + u64::try_from(grace.as_micros()).unwrap();
        let end = LastEnd { id, since, until };
        self.graces.last.insert((actor.partition, ended), end);
        self.note(|| format!("  node {} ends {ended}", actor.node));
    }

    /// A node reads from the log, or from what it asks for when it can't follow that.
    pub(crate) fn hand_reply(&mut self, index: usize, partition: usize, generation: u64, reply: Option<Reply>) {
        let now = self.now;
        let ends: Vec<Revision> = match &reply {
            Some(Reply::Entries(entries)) => {
                let ends = entries
                    .iter()
                    .filter(|one| matches!(one.content, Content::Ended { .. }));
                ends.map(|one| one.id).collect()
            }
            _ => Vec::new(),
        };
        let node = &mut self.nodes[index];
        let before = node.partitions[partition].position();
        node.input(now, partition, |machine, input| {
            machine.handle_reply(input, generation, reply);
        });
        let after = node.partitions[partition].position();
        let (Some((_, before)), Some((_, after))) = (before, after) else {
            return;
        };
        let incarnation = node.incarnation;
        let applied = ends.into_iter().filter(|id| before < *id && *id <= after);
        self.graces.read.extend(applied.map(|id| (partition, id, incarnation)));
    }

    /// What an ended node contributed counts until its grace is over, unless it says otherwise itself.
    pub(crate) fn check_graces(&mut self, actor: Actor, user: &UserId, stored: Option<&State>, state: &State) {
        let shares = stored.map(|stored| stored.contributions.clone()).unwrap_or_default();
        let gone = shares
            .iter()
            .filter(|share| state.share_of(share.incarnation).is_none());
        for share in gone {
            let incarnation = share.incarnation;
            let taken = self
                .continued
                .get(user)
                .map_or(0, |all| all.iter().filter(|of| share.has_place(**of)).count());
            if taken >= share.all_places() as usize || incarnation == actor.incarnation || state.command.is_some() {
                continue;
            }
            let Some(end) = self.graces.last.get(&(actor.partition, incarnation)).copied() else {
                continue;
            };
            let has_read = self.graces.read.contains(&(actor.partition, end.id, actor.incarnation));
            // Who did not read the end knows by Redis's clock how long ago it was, which may have been set since.
            if self.now + 1_000 < end.until && (has_read || self.jumped_at < end.since) {
                self.fail(format!(
                    "S15: node {} removes what {incarnation} contributes to {user} before its grace is over",
                    actor.node
                ));
            }
        }
    }
}
