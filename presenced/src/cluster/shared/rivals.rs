//! A node that this one can't be beside: one with the same name, such as of two containers with one host name, or any other if
//! the database is an SQLite file. It may be dead. If it ticks, this node does not start: the other one has done nothing wrong.

use std::collections::HashMap;
use std::time::Duration;

use presence::Revision;
use presence::replication::{Content, Incarnation, NodeInfo, Question, Reply};

use super::link::{Link, LinkError};
use super::servers::RedisServers;
use crate::clock::Stopwatch;

/// The partition in which it is looked for: every node has a registration in each.
const PARTITION: u16 = 0;

/// What to look for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnNode<'a> {
    pub(crate) name: &'a str,
    /// The run before, which the data directory shows to be dead.
    pub(crate) previous: &'a [Incarnation],
    /// For how long a node may be silent.
    pub(crate) lease: Duration,
    /// Whether there may be others.
    pub(crate) company: Company,
}

/// Whether a node may be one of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    /// Its database is one that several can share.
    Others,
    /// Its database is a file.
    Alone,
}

impl RedisServers {
    /// The node that is alive and that this one can't be beside, if there is one. Takes a lease if one is registered that is
    /// silent.
    pub(super) async fn living_rival(&self, own: OwnNode<'_>) -> Result<Option<NodeInfo>, LinkError> {
        let mut link = self.open(PARTITION).await?;
        let Reply::Head { head, .. } = link.query(Question::Head).await? else {
            return Ok(None);
        };
        let mut rivals = registered(&mut link, own).await?;
        if rivals.is_empty() {
            return Ok(None);
        }
        tracing::warn!(
            name = own.name,
            lease_s = own.lease.as_secs(),
            "a node is registered that this one can't be beside, perhaps an earlier run: waiting for a lease to see whether it is \
             alive"
        );
        let (waiting, mut after) = (Stopwatch::start(), head);
        while waiting.elapsed() < own.lease && !rivals.is_empty() {
            if let Some(node) = next_sign(&mut link, own, &mut after, &mut rivals).await? {
                return Ok(Some(node));
            }
        }
        Ok(None)
    }
}

/// The registered nodes that this one can't be beside.
async fn registered(link: &mut Link, own: OwnNode<'_>) -> Result<HashMap<Incarnation, NodeInfo>, LinkError> {
    let (mut rivals, mut place) = (HashMap::new(), Some(0));
    while let Some(at) = place {
        let Reply::Page(page) = link.query(Question::Page { place: at }).await? else {
            break;
        };
        for (incarnation, _, node) in page.registrations {
            rivals.extend(rival(own, incarnation, &node));
        }
        place = page.next;
    }
    Ok(rivals)
}

/// Reads on in the log: the node of which there is a sign of life.
async fn next_sign(
    link: &mut Link,
    own: OwnNode<'_>,
    after: &mut Revision,
    rivals: &mut HashMap<Incarnation, NodeInfo>,
) -> Result<Option<NodeInfo>, LinkError> {
    let Reply::Entries(entries) = link.query(Question::Read { after: *after }).await? else {
        return Ok(None);
    };
    for entry in entries {
        *after = entry.id;
        let living = match entry.content {
            Content::Tick { by, .. } => rivals.remove(&by),
            Content::Registered { incarnation, node } => rival(own, incarnation, &node).map(|(_, node)| node),
            Content::Ended { incarnation, .. } => {
                rivals.remove(&incarnation);
                None
            }
            Content::State { .. } | Content::Dropped { .. } | Content::Epoch(_) => None,
        };
        if living.is_some() {
            return Ok(living);
        }
    }
    Ok(None)
}

fn rival(own: OwnNode<'_>, incarnation: Incarnation, node: &[u8]) -> Option<(Incarnation, NodeInfo)> {
    // One that can't be read is of a newer version, whose name is not known.
    let node = NodeInfo::decode(node).ok()?;
    let is_rival = node.name == own.name || own.company == Company::Alone;
    (is_rival && !own.previous.contains(&incarnation)).then_some((incarnation, node))
}
