//! An operator asks this node that a node of the cluster, this one or another, drains or takes clients again. Another one is
//! told through the log, so that no node needs to reach it.

use std::sync::Arc;
use std::time::Duration;

use presence::Freshness;
use presence::replication::{DrainOrder, Incarnation, Member, UNREACHABLE_AFTER};

use super::Engine;
use super::drain::{TOLD_IN, takes_clients_beside};
use crate::cluster::Shared;

/// How long a node may take to say that it does what was asked: its tick is through the log within 2 s, or it can't reach
/// Redis, and the same for the order.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2 * UNREACHABLE_AFTER.as_secs());

/// Why a node does not do what was asked, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DrainError {
    #[error("no node of this name takes part in the cluster; GET /api/nodes lists them")]
    UnknownNode,
    #[error("no other node takes clients, so they would have nowhere to go")]
    NoOtherNode,
    #[error("Redis can't be reached, so it is not known which nodes are there; nothing was done")]
    Unreachable,
    #[error("the node has not said that it does so, and may do it all the same; GET /api/nodes shows whether it does")]
    NoAnswer,
}

/// Withdraws what was asked when nobody waits for it any more.
struct OpenOrder<'a> {
    shared: &'a Shared,
    of: Incarnation,
    number: u64,
}

impl Drop for OpenOrder<'_> {
    fn drop(&mut self) {
        let (of, number) = (self.of, self.number);
        let partition = self.shared.partition(TOLD_IN);
        partition.tell(move |machine, _| machine.withdraw_drain_order(of, number));
    }
}

impl Engine {
    /// Has the node of that name drain, or take clients again. Returns when it says that it does.
    pub(crate) async fn drain_node(self: &Arc<Self>, name: &str, is_wanted: bool) -> Result<(), DrainError> {
        let Some(shared) = self.cluster.shared() else {
            return Err(match name == self.node() {
                true => DrainError::NoOtherNode,
                false => DrainError::UnknownNode,
            });
        };
        let members = self.members();
        let of = run_of(&members, name).ok_or(DrainError::UnknownNode)?;
        let is_own = of == shared.incarnation();
        if shared.partition(TOLD_IN).freshness() == Freshness::Stale && (is_wanted || !is_own) {
            return Err(DrainError::Unreachable);
        }
        if is_wanted && !takes_clients_beside(&members, of, shared.lease()) {
            return Err(DrainError::NoOtherNode);
        }
        if is_own {
            self.set_draining(is_wanted);
            return Ok(());
        }
        let order = DrainOrder {
            of,
            is_draining: is_wanted,
        };
        let (number, obeyed) = self.waiting.for_drain(order);
        let _open = OpenOrder { shared, of, number };
        let partition = shared.partition(TOLD_IN);
        partition.tell(move |machine, input| machine.handle_drain_order(input, order, number));
        match tokio::time::timeout(ANSWERS_WITHIN, obeyed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(DrainError::NoAnswer),
        }
    }
}

/// The run of the node of that name; of several the one heard of last, since others are dead.
fn run_of(members: &[Member], name: &str) -> Option<Incarnation> {
    let is_named = |member: &&Member| member.info.as_ref().is_some_and(|info| info.name == name);
    let named = members.iter().filter(is_named);
    named
        .min_by_key(|member| member.tick_age)
        .map(|member| member.incarnation)
}
