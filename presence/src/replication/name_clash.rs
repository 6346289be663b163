//! Two nodes with one name. The one that starts waits until the other is known to be gone, and refuses to start if it is alive:
//! each would otherwise take the other for an earlier run of itself.

use crate::replication::effect::Effect;
use crate::replication::names::Incarnation;
use crate::replication::node_info::NodeInfo;
use crate::replication::partition::Partition;
use crate::time::Mono;

impl Partition {
    /// A registered node with this node's name, but for this node's run before, whose registration it ends.
    pub(super) fn name_holder(&self) -> Option<Incarnation> {
        let is_other = |one: Incarnation| one != self.own && !self.previous.contains_key(&one);
        let has_name = |node: &[u8]| NodeInfo::decode(node).is_ok_and(|node| node.name == self.node.name);
        let mut others = self.leases.nodes().filter(|(one, _)| is_other(*one));
        others.find(|(_, node)| has_name(node)).map(|(one, _)| one)
    }

    /// Nodes were registered: if one holds the name of this one, which starts, it has a lease to fall silent.
    pub(super) fn watch_name(&mut self, now: Mono) {
        if !self.is_ready && self.timers.name_at.is_none() && self.name_holder().is_some() {
            self.timers.name_at = Some(now.after(self.settings.lease));
        }
    }

    /// The lease is over. Whoever ticks is heard of twice in this time; whoever does not is ended by the nodes that notice.
    pub(super) fn on_name_deadline(&mut self, now: Mono) {
        self.timers.name_at = None;
        if self.is_ready {
            return;
        }
        if let Some(holder) = self.name_holder() {
            let every = self.settings.tick_every();
            if self.leases.silence(holder, now) < every * 2 {
                self.push(Effect::NameTaken(holder));
            }
            self.timers.name_at = Some(now.after(every));
        }
    }
}
