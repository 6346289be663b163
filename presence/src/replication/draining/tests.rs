//! Orders that nodes drain, on their way to those nodes and back.

use std::time::Duration;

use super::*;
use crate::replication::call::Call;
use crate::replication::follower::Pages;
use crate::replication::names::Epoch;
use crate::replication::partition::{Start, reading_of_tests};
use crate::revision::Revision;
use crate::time::Mono;

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
    let start = Start::of_tests(OWN);
    Partition::new(start, reading_of_tests())
}

/// What follows for draining from a tick of that run.
fn reads(machine: &mut Partition, by: Incarnation, tick: &Tick) -> Vec<Effect> {
    let _ = machine.take_effects();
    machine.note_draining(by, tick);
    machine.take_effects()
}

/// The orders that the next tick of the node names as obeyed.
fn named(machine: &mut Partition) -> Vec<ObeyedOrder> {
    let Call::Tick { content, .. } = machine.next_tick(Mono::default()) else {
        panic!("no tick");
    };
    let tick = Tick::decode(&content).expect("a tick");
    tick.obeyed.expect("this version names them")
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
    let reading = reading_of_tests();
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
    loaded(&mut machine, false);
    assert_eq!(machine.orders_here.obeyed(), [], "nor after a change of its load");
    loaded(&mut machine, true);
    assert_eq!(named(&mut machine), [obeyed(OTHER, 5)]);
    // Somebody else asks for the contrary, before the first one has read that it was obeyed.
    let contrary = asks(&[told(1, false, 5)]);
    assert_eq!(reads(&mut machine, Incarnation(2), &contrary), [Effect::Drain(false)]);
    loaded(&mut machine, false);
    machine.publisher.wants_probe = false;
    assert_eq!(reads(&mut machine, OTHER, &asked), [], "it is not done once more");
    assert!(machine.publisher.wants_probe, "it is said again");
    let both = [obeyed(Incarnation(2), 5), obeyed(OTHER, 5)];
    assert_eq!(machine.orders_here.obeyed(), both);
    let next = asks(&[told(1, true, 6)]);
    assert_eq!(reads(&mut machine, OTHER, &next), [Effect::Drain(true)]);
    assert_eq!(named(&mut machine), [obeyed(Incarnation(2), 5)]);
    loaded(&mut machine, true);
    assert_eq!(named(&mut machine).len(), 2);
    assert_eq!(reads(&mut machine, OTHER, &asks(&[])), []);
    assert_eq!(named(&mut machine), [obeyed(Incarnation(2), 5)], "it asks no more");
    machine.apply_ended(Mono::default(), Revision::new(2), Incarnation(2), Duration::ZERO);
    assert_eq!(named(&mut machine), [], "nobody asks any more");
}

#[test]
fn an_order_of_a_run_that_is_not_registered_any_more_is_forgotten() {
    let mut machine = machine();
    loaded(&mut machine, true);
    let asked = asks(&[told(1, true, 5)]);
    let orders = [OTHER, Incarnation(2)].map(|by| reads(&mut machine, by, &asked));
    assert_eq!(orders, [vec![], vec![]]);
    let nothing = |_: &crate::UserId| None;
    let input = Input {
        reading: reading_of_tests(),
        own: &nothing,
    };
    let epoch = Epoch {
        start: Revision::new(1),
        random: 1,
    };
    let pages = Pages {
        registrations: BTreeMap::from([(OTHER, Vec::new())]),
        ..Pages::default()
    };
    machine.begin_adoption(input, epoch, pages);
    assert_eq!(machine.orders_here.obeyed(), [obeyed(OTHER, 5)]);
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
