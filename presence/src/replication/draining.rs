//! What nodes tell each other of their load with every tick, and how an operator's wish that one of them drains comes from the
//! node that was asked to the one that is meant: in the ticks of the first, until those of the second say so.

use std::collections::BTreeMap;

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
    /// until then, or until [`Self::withdraw_drain_order`] with this number, of which each call has another one.
    pub fn handle_drain_order(&mut self, input: Input<'_>, order: DrainOrder, number: u64) {
        self.drain_orders.ask(order, number);
        self.tick_now(input);
    }

    /// Nobody waits any more for what was asked with this number. What others asked of the node stays.
    pub fn withdraw_drain_order(&mut self, of: Incarnation, number: u64) {
        self.drain_orders.withdraw(of, number);
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
        let told = DrainOrder {
            of: by,
            is_draining: tick.is_draining,
        };
        if self.drain_orders.take_obeyed(told) {
            self.push(Effect::DrainObeyed(told));
        }
    }
}

/// What operators asked of other nodes, until those say so: of each node all that somebody waits for. Ticks tell what was asked last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DrainOrders(BTreeMap<Incarnation, Vec<OpenOrder>>);

/// What one operator asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OpenOrder {
    number: u64,
    is_draining: bool,
}

impl DrainOrders {
    fn ask(&mut self, order: DrainOrder, number: u64) {
        let is_draining = order.is_draining;
        self.0
            .entry(order.of)
            .or_default()
            .push(OpenOrder { number, is_draining });
    }

    fn withdraw(&mut self, of: Incarnation, number: u64) {
        if let Some(open) = self.0.get_mut(&of) {
            open.retain(|order| order.number != number);
        }
        self.0.retain(|_, open| !open.is_empty());
    }

    /// Whether the node does what it was asked last. Then nothing is asked of it any more: what was asked before is out of date.
    fn take_obeyed(&mut self, told: DrainOrder) -> bool {
        let last = self.0.get(&told.of).and_then(|open| open.last());
        let is_obeyed = last.is_some_and(|order| order.is_draining == told.is_draining);
        if is_obeyed {
            self.0.remove(&told.of);
        }
        is_obeyed
    }

    /// What ticks tell.
    pub(super) fn told(&self) -> Vec<DrainOrder> {
        let last = |(of, open): (&Incarnation, &Vec<OpenOrder>)| {
            let is_draining = open.last()?.is_draining;
            Some(DrainOrder { of: *of, is_draining })
        };
        self.0.iter().filter_map(last).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn order(of: u64, is_draining: bool) -> DrainOrder {
        DrainOrder {
            of: Incarnation(of),
            is_draining,
        }
    }

    #[test]
    fn an_operator_withdraws_no_order_of_another() {
        let mut orders = DrainOrders::default();
        orders.ask(order(7, true), 1);
        orders.ask(order(7, true), 2);
        orders.withdraw(Incarnation(7), 1);
        assert_eq!(orders.told(), [order(7, true)]);
        orders.ask(order(7, false), 3);
        orders.withdraw(Incarnation(7), 2);
        orders.withdraw(Incarnation(8), 3);
        assert_eq!(orders.told(), [order(7, false)]);
        orders.withdraw(Incarnation(7), 3);
        assert_eq!(orders, DrainOrders::default());
    }

    #[test]
    fn a_node_does_what_it_was_asked_last() {
        let mut orders = DrainOrders::default();
        orders.ask(order(7, true), 1);
        orders.ask(order(7, false), 2);
        assert_eq!(orders.told(), [order(7, false)]);
        assert!(!orders.take_obeyed(order(7, true)), "as it was before");
        assert!(orders.take_obeyed(order(7, false)));
        assert_eq!(orders.told(), [], "what was asked first is out of date");
        orders.ask(order(7, true), 3);
        orders.withdraw(Incarnation(7), 2);
        assert_eq!(orders.told(), [order(7, true)], "asked since");
    }
}
