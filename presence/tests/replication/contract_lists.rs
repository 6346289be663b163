//! What every implementation of a partition does about the lists that other services read.

use std::time::Duration;

use presence::replication::{
    Answer, Call, Caller, Incarnation, ListOutcome, Listed, ListedCustom, Listing, Outcome, UserOffer,
};
use presence::{CustomStatus, Revision};

use super::contract::{ANN, Check, Subject, an_offer, caller, head, offer, register, taken, tick, user};

/// All tests, with their names.
pub(crate) const ALL: [(&str, Check); 7] = [
    ("a tick tells what is listed", a_tick_tells_what_is_listed),
    ("users at their revision are listed", users_at_their_revision_are_listed),
    ("strangers are removed", strangers_are_removed),
    (
        "a new list takes the place of the old one",
        a_new_list_takes_the_place_of_the_old_one,
    ),
    ("one node at a time makes a list", one_node_at_a_time_makes_a_list),
    (
        "a node that is behind lists no custom status",
        a_node_that_is_behind_lists_no_custom_status,
    ),
    ("a full memory takes no new list", a_full_memory_takes_no_new_list),
];

fn list(subject: &mut dyn Subject, from: Caller, listing: Listing) -> ListOutcome {
    match subject.call(&Call::List { caller: from, listing }) {
        Answer::Listed { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

fn listed(subject: &mut dyn Subject, from: Caller) -> (u64, ListedCustom) {
    match subject.call(&tick(from)) {
        Answer::Ticked {
            listed_present,
            listed_custom,
            ..
        } => (listed_present, listed_custom),
        other => panic!("{other:?}"),
    }
}

fn with_custom(id: &str, custom: CustomStatus) -> UserOffer {
    UserOffer {
        is_present: false,
        listed: Listed::Set(custom),
        ..an_offer(id, None, b"absent")
    }
}

fn custom(users: &[(&str, Option<Revision>, CustomStatus)], read_to: Revision) -> Listing {
    let users = users.iter().map(|(id, base, custom)| (user(id), *base, *custom));
    let users = users.collect();
    Listing::Custom { read_to, users }
}

fn a_tick_tells_what_is_listed(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    let own = caller(1, 1);
    assert_eq!(
        listed(subject, own),
        (0, ListedCustom::Incomplete),
        "nobody has listed any"
    );
    assert!(matches!(list(subject, own, Listing::Begin), ListOutcome::Begun(_)));
    assert_eq!(listed(subject, own), (0, ListedCustom::UnderWay(Incarnation(1))));
    assert_eq!(list(subject, own, Listing::Complete), ListOutcome::Done);
    let absent = with_custom("bob", CustomStatus::Idle);
    let both = UserOffer {
        listed: Listed::Set(CustomStatus::Idle),
        ..an_offer(ANN, None, b"present")
    };
    offer(subject, own, vec![absent, both]);
    assert_eq!(listed(subject, own), (1, ListedCustom::Complete));
    subject.lose_lists();
    assert_eq!(listed(subject, own), (0, ListedCustom::Incomplete));
    subject.restart();
    register(subject, 1, 2);
    let later = caller(1, 2);
    list(subject, later, Listing::Begin);
    list(subject, later, Listing::Complete);
    assert_eq!(listed(subject, later).1, ListedCustom::Complete);
    subject.restart();
    register(subject, 1, 3);
    let last = listed(subject, caller(1, 3)).1;
    assert_eq!(last, ListedCustom::Incomplete, "the epoch is new");
}

fn users_at_their_revision_are_listed(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    let own = caller(1, 1);
    let present = vec![an_offer(ANN, None, b"a"), an_offer("bob", None, b"b")];
    let outcomes = offer(subject, own, present);
    let (ann, bob) = (taken(&outcomes[0]), taken(&outcomes[1]));
    subject.lose_lists();
    let before = head(subject);
    let users = vec![
        (user(ANN), ann, true),
        (user("bob"), Revision::new(bob.get() - 1), true),
        (user("nobody"), ann, true),
    ];
    assert_eq!(list(subject, own, Listing::Present(users)), ListOutcome::Done);
    assert_eq!(subject.online(), vec![user(ANN)]);
    let absent = vec![(user(ANN), ann, false), (user("bob"), bob, true)];
    list(subject, own, Listing::Present(absent));
    assert_eq!(subject.online(), vec![user("bob")]);
    assert_eq!(head(subject), before, "nodes don't read of it");
}

fn strangers_are_removed(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    let own = caller(1, 1);
    offer(subject, own, vec![an_offer("stays", None, b"s")]);
    for number in 0..50 {
        subject.add_to_online(&user(&format!("stranger-{number}")));
    }
    let mut place = 0;
    while let ListOutcome::GoesOn(next) = list(subject, own, Listing::Strangers { place }) {
        place = next;
    }
    assert_eq!(subject.online(), vec![user("stays")]);
}

fn a_new_list_takes_the_place_of_the_old_one(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    let own = caller(1, 1);
    let offers = ["old", "gone", "kept"].map(|id| with_custom(id, CustomStatus::Idle));
    let outcomes = offer(subject, own, offers.to_vec());
    list(subject, own, Listing::Begin);
    let read_to = head(subject).0;
    let users = [
        ("kept", Some(taken(&outcomes[2])), CustomStatus::Idle),
        ("gone", Some(read_to), CustomStatus::Idle),
        ("old", None, CustomStatus::DoNotDisturb),
        ("absent", None, CustomStatus::DoNotDisturb),
    ];
    assert_eq!(list(subject, own, custom(&users, read_to)), ListOutcome::Done);
    let during = vec![
        with_custom("new", CustomStatus::Idle),
        UserOffer {
            base: Some(taken(&outcomes[0])),
            listed: Listed::Remove,
            ..with_custom("old", CustomStatus::Idle)
        },
    ];
    let during = offer(subject, own, during);
    assert!(matches!(during.as_slice(), [Outcome::Taken(_), Outcome::Taken(_)]));
    assert_eq!(
        subject.custom_status(&user("gone")),
        Some(CustomStatus::Idle),
        "it is not complete"
    );
    assert_eq!(
        subject.custom_status(&user("new")),
        Some(CustomStatus::Idle),
        "offers change both"
    );
    assert_eq!(subject.custom_status(&user("absent")), None);
    assert_eq!(list(subject, own, Listing::Complete), ListOutcome::Done);
    let all = ["kept", "gone", "old", "absent", "new"].map(|id| subject.custom_status(&user(id)));
    let (idle, busy) = (Some(CustomStatus::Idle), Some(CustomStatus::DoNotDisturb));
    assert_eq!(all, [idle, None, None, busy, idle]);
    assert_eq!(listed(subject, own).1, ListedCustom::Complete);
}

fn one_node_at_a_time_makes_a_list(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    register(subject, 2, 1);
    let (first, second) = (caller(1, 1), caller(2, 1));
    list(subject, first, Listing::Begin);
    let users = [(ANN, None, CustomStatus::Idle)];
    let read_to = head(subject).0;
    for listing in [Listing::Begin, custom(&users, read_to), Listing::Complete] {
        assert_eq!(list(subject, second, listing), ListOutcome::Refused);
    }
    list(subject, first, custom(&users, read_to));
    assert!(
        matches!(list(subject, first, Listing::Begin), ListOutcome::Begun(_)),
        "anew"
    );
    subject.call(&Call::End {
        caller: second,
        ended: Incarnation(1),
        grace: Duration::ZERO,
    });
    assert_eq!(
        listed(subject, second).1,
        ListedCustom::Incomplete,
        "nobody makes it any more"
    );
    assert!(matches!(list(subject, second, Listing::Begin), ListOutcome::Begun(_)));
    register(subject, 1, 2);
    assert_eq!(list(subject, caller(1, 2), Listing::Complete), ListOutcome::Refused);
    assert_eq!(list(subject, second, Listing::Complete), ListOutcome::Done);
    assert_eq!(subject.custom_status(&user(ANN)), None, "a list begins empty");
    assert_eq!(
        list(subject, second, Listing::Complete),
        ListOutcome::Refused,
        "it is complete"
    );
}

fn a_node_that_is_behind_lists_no_custom_status(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    let own = caller(1, 1);
    let revision = taken(&offer(subject, own, vec![an_offer(ANN, None, b"a")])[0]);
    list(subject, own, Listing::Begin);
    let read_to = head(subject).0;
    let drop = Call::Drop {
        caller: own,
        users: vec![(user(ANN), revision)],
    };
    subject.call(&drop);
    let users = [(ANN, None, CustomStatus::Idle)];
    assert_eq!(list(subject, own, custom(&users, read_to)), ListOutcome::Behind);
    let read_to = head(subject).0;
    subject.call(&tick(own));
    assert_eq!(
        list(subject, own, custom(&users, read_to)),
        ListOutcome::Done,
        "ticks drop nobody"
    );
    list(subject, own, Listing::Complete);
    assert_eq!(subject.custom_status(&user(ANN)), Some(CustomStatus::Idle));
}

fn a_full_memory_takes_no_new_list(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    let own = caller(1, 1);
    let revision = taken(&offer(subject, own, vec![an_offer(ANN, None, b"a")])[0]);
    let old = offer(subject, own, vec![with_custom("old", CustomStatus::Idle)]);
    assert!(matches!(old.as_slice(), [Outcome::Taken(_)]));
    let users = [("absent", None, CustomStatus::Idle)];
    let read_to = head(subject).0;
    list(subject, own, Listing::Begin);
    subject.fill(true);
    assert_eq!(list(subject, own, custom(&users, read_to)), ListOutcome::Full);
    assert_eq!(list(subject, own, custom(&users, read_to)), ListOutcome::Refused);
    assert_eq!(list(subject, own, Listing::Begin), ListOutcome::Full);
    let absent = Listing::Present(vec![(user(ANN), revision, false)]);
    assert_eq!(list(subject, own, absent), ListOutcome::Done);
    assert_eq!(subject.online(), vec![], "removals work");
    let present = Listing::Present(vec![(user(ANN), revision, true)]);
    assert_eq!(list(subject, own, present.clone()), ListOutcome::Done);
    assert_eq!(subject.online(), vec![], "additions are refused");
    subject.fill(false);
    assert_ne!(listed(subject, own).1, ListedCustom::UnderWay(Incarnation(1)));
    list(subject, own, present);
    assert_eq!(subject.online(), vec![user(ANN)]);
    assert_eq!(
        subject.custom_status(&user("old")),
        Some(CustomStatus::Idle),
        "it stays"
    );
    assert!(matches!(list(subject, own, Listing::Begin), ListOutcome::Begun(_)));
    assert_eq!(list(subject, own, custom(&users, read_to)), ListOutcome::Done);
    assert_eq!(list(subject, own, Listing::Complete), ListOutcome::Done);
    assert_eq!(subject.custom_status(&user("absent")), Some(CustomStatus::Idle));
}
