//! What nodes tell each other of their load with every tick, and how an operator's wish that one of them drains comes from the
//! node that was asked to the one that is meant: in the ticks of the first, until those of the second say so.

use crate::replication::effect::Effect;
use crate::replication::names::Incarnation;
use crate::replication::node_info::{DrainOrder, NodeLoad, Tick};
use crate::replication::partition::{Input, Partition};

impl Partition {
    /// What ticks tell of the node from now on.
    pub const fn handle_load(&mut self, load: NodeLoad) {
        self.load = load;
    }

    /// The others are to hear of the load now, and not with the next regular tick.
    pub fn tick_now(&mut self, input: Input<'_>) {
        self.publisher.wants_probe = true;
        self.advance(input);
    }

    /// An operator asks that another node drains, or takes clients again. [`Effect::DrainObeyed`] says that it does; asked for
    /// until then, or until [`Self::withdraw_drain_order`].
    pub fn handle_drain_order(&mut self, input: Input<'_>, order: DrainOrder) {
        self.drain_orders.insert(order.of, order.is_draining);
        self.tick_now(input);
    }

    /// Nobody waits for the node any more.
    pub fn withdraw_drain_order(&mut self, of: Incarnation) {
        self.drain_orders.remove(&of);
    }

    pub(super) fn drain_orders(&self) -> Vec<DrainOrder> {
        let order = |(of, is_draining): (&Incarnation, &bool)| DrainOrder {
            of: *of,
            is_draining: *is_draining,
        };
        self.drain_orders.iter().map(order).collect()
    }

    /// A tick of that node was read.
    pub(super) fn note_draining(&mut self, by: Incarnation, tick: &Tick) {
        let (own, is_draining) = (self.own, self.load.is_draining);
        match tick.orders.iter().find(|order| order.of == own) {
            Some(order) if order.is_draining != is_draining => self.push(Effect::Drain(order.is_draining)),
            // The next regular tick may come after the node that was asked has ceased to wait.
            Some(_) => self.publisher.wants_probe = true,
            None => {}
        }
        if self.drain_orders.get(&by) == Some(&tick.is_draining) {
            self.drain_orders.remove(&by);
            self.push(Effect::DrainObeyed(DrainOrder {
                of: by,
                is_draining: tick.is_draining,
            }));
        }
    }
}
