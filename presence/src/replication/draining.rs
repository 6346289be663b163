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
        let is_draining = self.load.is_draining;
        match tick.orders.iter().find(|told| told.order.of == self.own) {
            // The next regular tick may come after the node that was asked has ceased to wait.
            Some(told) if self.orders_here.take(by, *told, is_draining) => self.publisher.wants_probe = true,
            Some(told) => self.push(Effect::Drain(told.order.is_draining)),
            None => self.orders_here.forget(by),
        }
        if let Some(is_draining) = self.drain_orders.take_obeyed(self.own, by, tick) {
            self.push(Effect::DrainObeyed(DrainOrder { of: by, is_draining }));
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
mod tests {
    use super::*;
    use crate::replication::node_info::NodeInfo;
    use crate::replication::partition::Start;
    use crate::replication::settings::Settings;
    use crate::time::{Mono, Reading, SystemWall};

    const OWN: Incarnation = Incarnation(1);
    const OTHER: Incarnation = Incarnation(7);

    const fn order(of: u64, is_draining: bool) -> DrainOrder {
        DrainOrder {
            of: Incarnation(of),
            is_draining,
        }
    }

    const fn told(of: u64, is_draining: bool, number: u64) -> ToldOrder {
        ToldOrder {
            order: order(of, is_draining),
            number: Some(number),
        }
    }

    const fn obeyed(told_by: Incarnation, number: u64) -> ObeyedOrder {
        ObeyedOrder { told_by, number }
    }

    /// A tick of a node that drains or does not, and names these orders.
    fn tick(is_draining: bool, named: &[ObeyedOrder]) -> Tick {
        Tick {
            is_draining,
            obeyed: Some(named.to_vec()),
            ..Tick::default()
        }
    }

    /// A tick that tells these orders.
    fn asks(orders: &[ToldOrder]) -> Tick {
        Tick {
            orders: orders.to_vec(),
            ..tick(false, &[])
        }
    }

    fn machine() -> Partition {
        let start = Start {
            own: OWN,
            previous: Vec::new(),
            node: NodeInfo::default(),
            settings: Settings::of_tests(),
            seed: 1,
        };
        Partition::new(start, reading())
    }

    fn reading() -> Reading {
        Reading {
            mono: Mono::default(),
            system: SystemWall::from_millis(1_000_000),
            records_ahead: 0,
        }
    }

    /// What follows for draining from a tick of that run.
    fn reads(machine: &mut Partition, by: Incarnation, tick: &Tick) -> Vec<Effect> {
        let _ = machine.take_effects();
        machine.note_draining(by, tick);
        machine.take_effects()
    }

    fn loaded(machine: &mut Partition, is_draining: bool) {
        machine.handle_load(NodeLoad {
            is_draining,
            ..NodeLoad::default()
        });
    }

    #[test]
    fn a_tick_that_was_under_way_when_the_order_came_obeys_nothing() {
        let mut machine = machine();
        let nothing = |_: &crate::UserId| None;
        let reading = reading();
        let input = Input { reading, own: &nothing };
        machine.handle_drain_order(input, order(7, true), 1);
        // The operator thinks better of it, and the node has not read any of that.
        machine.handle_drain_order(input, order(7, false), 2);
        assert_eq!(reads(&mut machine, OTHER, &tick(false, &[])), []);
        assert_eq!(machine.drain_orders.told(), [told(7, false, 2)], "asked on");
        let first = tick(true, &[obeyed(OWN, 1)]);
        assert_eq!(reads(&mut machine, OTHER, &first), [], "the first order alone");
        let of_another = tick(false, &[obeyed(Incarnation(2), 2)]);
        assert_eq!(reads(&mut machine, OTHER, &of_another), []);
        let last = tick(false, &[obeyed(OWN, 2)]);
        assert_eq!(
            reads(&mut machine, OTHER, &last),
            [Effect::DrainObeyed(order(7, false))]
        );
        assert_eq!(machine.drain_orders.told(), []);
    }

    #[test]
    fn a_node_of_an_older_version_obeys_by_what_it_does() {
        let mut orders = DrainOrders::default();
        orders.ask(order(7, true), 1);
        let mut older = Tick::default();
        assert_eq!(orders.take_obeyed(OWN, OTHER, &older), None);
        older.is_draining = true;
        assert_eq!(orders.take_obeyed(OWN, OTHER, &older), Some(true));
    }

    #[test]
    fn a_node_names_the_order_once_it_has_obeyed_it() {
        let mut machine = machine();
        let asked = asks(&[told(8, false, 1), told(1, true, 5)]);
        assert_eq!(reads(&mut machine, OTHER, &asked), [Effect::Drain(true)]);
        assert_eq!(machine.orders_here.obeyed(), [], "it does not drain yet");
        assert_eq!(reads(&mut machine, OTHER, &asked), [Effect::Drain(true)], "repeated");
        loaded(&mut machine, true);
        assert_eq!(machine.orders_here.obeyed(), [obeyed(OTHER, 5)]);
        // Somebody else asks for the contrary, before the first one has read that it was obeyed.
        let contrary = asks(&[told(1, false, 5)]);
        assert_eq!(reads(&mut machine, Incarnation(2), &contrary), [Effect::Drain(false)]);
        loaded(&mut machine, false);
        assert_eq!(reads(&mut machine, OTHER, &asked), [], "it is not done once more");
        let both = [obeyed(Incarnation(2), 5), obeyed(OTHER, 5)];
        assert_eq!(machine.orders_here.obeyed(), both);
        let next = asks(&[told(1, true, 6)]);
        assert_eq!(reads(&mut machine, OTHER, &next), [Effect::Drain(true)]);
        assert_eq!(reads(&mut machine, OTHER, &asks(&[])), []);
        machine.orders_here.forget(Incarnation(2));
        assert_eq!(machine.orders_here.obeyed(), [], "nobody asks any more");
    }

    #[test]
    fn an_order_of_an_older_version_is_obeyed_whenever_it_is_told() {
        let mut machine = machine();
        let mut unnumbered = told(1, true, 0);
        unnumbered.number = None;
        let asked = asks(&[unnumbered]);
        for _ in 0..2 {
            assert_eq!(reads(&mut machine, OTHER, &asked), [Effect::Drain(true)]);
            loaded(&mut machine, true);
            assert_eq!(reads(&mut machine, OTHER, &asked), []);
            assert_eq!(machine.orders_here.obeyed(), [], "it has no name");
            loaded(&mut machine, false);
        }
    }

    #[test]
    fn an_operator_withdraws_no_order_of_another() {
        let mut orders = DrainOrders::default();
        orders.ask(order(7, true), 1);
        orders.ask(order(7, true), 2);
        orders.withdraw(OTHER, 1);
        assert_eq!(orders.told(), [told(7, true, 2)]);
        orders.ask(order(7, false), 3);
        orders.withdraw(OTHER, 2);
        orders.withdraw(Incarnation(8), 3);
        assert_eq!(orders.told(), [told(7, false, 3)]);
        orders.withdraw(OTHER, 3);
        assert_eq!(orders, DrainOrders::default());
    }

    #[test]
    fn a_node_does_what_it_was_asked_last() {
        let mut orders = DrainOrders::default();
        orders.ask(order(7, true), 1);
        orders.ask(order(7, false), 2);
        assert_eq!(orders.told(), [told(7, false, 2)]);
        assert_eq!(orders.take_obeyed(OWN, OTHER, &tick(true, &[obeyed(OWN, 1)])), None);
        let last = tick(false, &[obeyed(OWN, 2)]);
        assert_eq!(orders.take_obeyed(OWN, OTHER, &last), Some(false));
        assert_eq!(orders.told(), [], "what was asked first is out of date");
        orders.ask(order(7, true), 3);
        orders.withdraw(OTHER, 2);
        assert_eq!(orders.told(), [told(7, true, 3)], "asked since");
    }
}
