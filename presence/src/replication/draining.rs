//! What nodes tell each other of their load with every tick, and how an operator's wish that one of them drains comes from the
//! node that was asked to the one that is meant: in the ticks of the first, until those of the second name the order. That they
//! are as was asked does not do: one that was under way when the order came tells of before.

use std::collections::BTreeMap;

use crate::replication::effect::Effect;
use crate::replication::names::Incarnation;
use crate::replication::node_info::{DrainOrder, NodeLoad, ObeyedOrder, Tick, ToldOrder};
use crate::replication::partition::{Input, Partition};

impl Partition {
    /// What ticks tell of the node from now on.
    pub fn handle_load(&mut self, load: NodeLoad) {
        self.load = load;
        self.orders_here.note_draining(load.is_draining);
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
        match tick.orders.iter().find(|told| told.order.of == self.own) {
            Some(told) => self.take_order(by, *told),
            None => self.orders_here.forget(by),
        }
        if let Some(is_draining) = self.drain_orders.take_obeyed(self.own, by, tick) {
            self.push(Effect::DrainObeyed(DrainOrder { of: by, is_draining }));
        }
    }

    /// The run `by` asks this node to drain, or to take clients again.
    fn take_order(&mut self, by: Incarnation, told: ToldOrder) {
        let is_obeyed = self.orders_here.take(by, told, self.load.is_draining);
        if is_obeyed {
            // The next regular tick may come after the node that was asked has ceased to wait.
            self.publisher.wants_probe = true;
        } else {
            self.push(Effect::Drain(told.order.is_draining));
        }
    }
}

/// What the ticks of other nodes ask of this one, of each its last order, until they ask no more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct OrdersHere(BTreeMap<Incarnation, OrderHere>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OrderHere {
    /// None of an older version, whose orders are not named.
    number: Option<u64>,
    is_draining: bool,
    /// Whether the node has done what is asked. It is not done again: somebody else may have asked for something else since.
    is_obeyed: bool,
}

impl OrdersHere {
    /// A tick of that run tells the order. Whether it is obeyed.
    fn take(&mut self, by: Incarnation, told: ToldOrder, is_draining: bool) -> bool {
        let order = OrderHere {
            number: told.number,
            is_draining: told.order.is_draining,
            is_obeyed: told.order.is_draining == is_draining,
        };
        let known = self.0.entry(by).or_insert(order);
        if known.number != order.number || known.number.is_none() {
            *known = order;
        }
        known.is_obeyed
    }

    /// The node drains now, or takes clients.
    fn note_draining(&mut self, is_draining: bool) {
        let orders = self.0.values_mut().filter(|order| order.is_draining == is_draining);
        orders.for_each(|order| order.is_obeyed = true);
    }

    /// That run asks for nothing, or is gone.
    pub(super) fn forget(&mut self, by: Incarnation) {
        self.0.remove(&by);
    }

    /// Some runs may be gone, and their end was not read.
    pub(super) fn keep(&mut self, is_registered: impl Fn(Incarnation) -> bool) {
        self.0.retain(|by, _| is_registered(*by));
    }

    /// What ticks name.
    pub(super) fn obeyed(&self) -> Vec<ObeyedOrder> {
        let obeyed = self.0.iter().filter(|(_, order)| order.is_obeyed);
        let named = obeyed.filter_map(|(told_by, order)| {
            Some(ObeyedOrder {
                told_by: *told_by,
                number: order.number?,
            })
        });
        named.collect()
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

    /// What the node that this tick is of was asked last by this run, `own`, if it has obeyed that. Then nothing is asked of it any
    /// more: what was asked before is out of date.
    fn take_obeyed(&mut self, own: Incarnation, by: Incarnation, tick: &Tick) -> Option<bool> {
        let last = *self.0.get(&by)?.last()?;
        let is_named = |one: &ObeyedOrder| one.told_by == own && one.number == last.number;
        let is_obeyed = match &tick.obeyed {
            Some(obeyed) => obeyed.iter().any(is_named),
            None => tick.is_draining == last.is_draining,
        };
        if !is_obeyed {
            return None;
        }
        self.0.remove(&by);
        Some(last.is_draining)
    }

    /// What ticks tell.
    pub(super) fn told(&self) -> Vec<ToldOrder> {
        let last = |(of, open): (&Incarnation, &Vec<OpenOrder>)| {
            let OpenOrder { number, is_draining } = *open.last()?;
            let order = DrainOrder { of: *of, is_draining };
            Some(ToldOrder {
                order,
                number: Some(number),
            })
        };
        self.0.iter().filter_map(last).collect()
    }
}

#[cfg(test)]
mod tests;
