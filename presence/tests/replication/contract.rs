//! What every implementation of the calls and questions of a partition does: the model, and a real server with scripts.

use std::time::Duration;

use presence::replication::{
    Answer, Call, Caller, ConnectionNumber, Content, Entry, Epoch, Incarnation, Listed, Outcome, Question, Reply,
    UserOffer,
};
use presence::{CustomStatus, Revision, UserId};

/// A partition that is empty at the start.
pub(crate) trait Subject {
    fn call(&mut self, call: &Call) -> Answer;
    /// A read without entries may wait, or answer at once.
    fn ask(&mut self, question: Question) -> Reply;
    /// The server starts again with what it had, under another run id.
    fn restart(&mut self);
    /// The key of the state is lost, the log stays.
    fn lose_state(&mut self);
    /// Who other services see as present.
    fn online(&mut self) -> Vec<UserId>;
    /// What other services read is lost.
    fn lose_lists(&mut self);
    /// Somebody else lists a user as present.
    fn add_to_online(&mut self, user: &UserId);
    /// The memory of the server is full, or has room again.
    fn fill(&mut self, is_full: bool);
    /// The custom status that other services see.
    fn custom_status(&mut self, user: &UserId) -> Option<CustomStatus>;
}

/// A test of the contract.
pub(crate) type Check = fn(&mut dyn Subject);

/// All tests, with their names.
pub(crate) const ALL: [(&str, Check); 12] = [
    (
        "a first registration begins an epoch",
        a_first_registration_begins_an_epoch,
    ),
    (
        "a second node registers in the same epoch",
        a_second_node_registers_in_the_same_epoch,
    ),
    ("another run id begins a new epoch", another_run_id_begins_a_new_epoch),
    (
        "a lost state begins a new epoch above the log",
        a_lost_state_begins_a_new_epoch_above_the_log,
    ),
    (
        "older connections change nothing",
        calls_of_an_older_connection_change_nothing,
    ),
    ("an offer is taken", an_offer_on_the_stored_revision_is_taken),
    ("another base is answered", an_offer_on_another_revision_is_answered),
    ("a revision is above the floor", a_revision_is_above_the_floor),
    (
        "users of one call are decided one by one",
        users_of_one_call_are_decided_one_by_one,
    ),
    ("an ended node calls no more", an_ended_registration_calls_no_more),
    (
        "only users at their revision are dropped",
        only_users_at_their_revision_are_dropped,
    ),
    ("pages hold whoever is there all the time", pages_hold_whoever_is_there),
];

pub(crate) const ANN: &str = "ann";

pub(crate) fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

pub(crate) fn caller(node: u64, connection: u64) -> Caller {
    Caller {
        incarnation: Incarnation(node),
        connection: ConnectionNumber(connection),
    }
}

pub(crate) fn register(subject: &mut dyn Subject, node: u64, connection: u64) -> (Epoch, Revision, bool) {
    let call = Call::Register {
        caller: caller(node, connection),
        node: vec![1, 0, 255, 10, 13],
        new_epoch: 0x00c0_ffee_0000_0000 + connection,
        floor: Revision::NEVER,
    };
    match subject.call(&call) {
        Answer::Registered {
            epoch, head, is_new, ..
        } => (epoch, head, is_new),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn an_offer(id: &str, base: Option<Revision>, state: &[u8]) -> UserOffer {
    UserOffer {
        user: user(id),
        base,
        floor: Revision::NEVER,
        is_present: true,
        listed: Listed::Keep,
        state: state.to_vec(),
    }
}

pub(crate) fn offer(subject: &mut dyn Subject, from: Caller, users: Vec<UserOffer>) -> Vec<Outcome> {
    match subject.call(&Call::Offer { caller: from, users }) {
        Answer::Offered { outcomes, .. } => outcomes,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn tick(from: Caller) -> Call {
    Call::Tick {
        caller: from,
        content: vec![7],
    }
}

pub(crate) fn taken(outcome: &Outcome) -> Revision {
    match outcome {
        Outcome::Taken(revision) => *revision,
        other => panic!("{other:?}"),
    }
}

fn log(subject: &mut dyn Subject) -> Vec<Entry> {
    match subject.ask(Question::Read { after: Revision::NEVER }) {
        Reply::Entries(entries) => {
            for pair in entries.windows(2) {
                assert!(pair[0].id < pair[1].id && pair[1].before == pair[0].id, "{pair:?}");
            }
            entries
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn head(subject: &mut dyn Subject) -> (Revision, Option<Epoch>) {
    match subject.ask(Question::Head) {
        Reply::Head { head, epoch } => (head, epoch),
        other => panic!("{other:?}"),
    }
}

/// Every user with revision and state, and every registered incarnation, from all pages.
type Contents = (Vec<(UserId, Revision, Vec<u8>)>, Vec<(Incarnation, ConnectionNumber)>);

fn contents(subject: &mut dyn Subject) -> Contents {
    let (mut users, mut nodes) = (Vec::new(), Vec::new());
    let mut place = Some(0);
    while let Some(at) = place {
        let Reply::Page(page) = subject.ask(Question::Page { place: at }) else {
            panic!("no page")
        };
        users.extend(page.users);
        nodes.extend(page.registrations.into_iter().map(|(one, number, _)| (one, number)));
        place = page.next;
    }
    users.sort();
    users.dedup();
    nodes.sort();
    nodes.dedup();
    (users, nodes)
}

fn a_first_registration_begins_an_epoch(subject: &mut dyn Subject) {
    assert_eq!(head(subject), (Revision::NEVER, None));
    let (epoch, top, is_new) = register(subject, 1, 1);
    assert!(is_new && epoch.start > Revision::NEVER);
    assert_eq!(epoch.random, 0x00c0_ffee_0000_0001);
    assert_eq!(head(subject), (top, Some(epoch)));
    let entries = log(subject);
    assert_eq!(entries[0].content, Content::Epoch(epoch));
    assert_eq!(entries[0].id, epoch.start);
    let node = vec![1, 0, 255, 10, 13];
    let incarnation = Incarnation(1);
    assert_eq!(entries[1].content, Content::Registered { incarnation, node });
    assert_eq!(entries.len(), 2);
}

fn a_second_node_registers_in_the_same_epoch(subject: &mut dyn Subject) {
    let (epoch, ..) = register(subject, 1, 1);
    assert_eq!(register(subject, 2, 9).0, epoch);
    let (again, _, is_new) = register(subject, 1, 2);
    assert!(again == epoch && !is_new);
    assert_eq!(log(subject).len(), 3, "a higher number is no entry");
    let numbers = vec![
        (Incarnation(1), ConnectionNumber(2)),
        (Incarnation(2), ConnectionNumber(9)),
    ];
    assert_eq!(contents(subject).1, numbers);
}

fn another_run_id_begins_a_new_epoch(subject: &mut dyn Subject) {
    let (epoch, before, _) = register(subject, 1, 1);
    offer(subject, caller(1, 1), vec![an_offer(ANN, None, b"one")]);
    subject.restart();
    let (later, top, is_new) = register(subject, 2, 1);
    assert!(later != epoch && later.start > before && top > before && is_new);
    let (users, nodes) = contents(subject);
    assert_eq!(
        nodes,
        vec![(Incarnation(2), ConnectionNumber(1))],
        "nobody else is registered"
    );
    assert_eq!(users.len(), 1, "states stay");
    assert_eq!(subject.call(&tick(caller(1, 1))), Answer::NotRegistered);
}

fn a_lost_state_begins_a_new_epoch_above_the_log(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    let ahead = Revision::new(1 << 52);
    let above = UserOffer {
        floor: ahead,
        ..an_offer(ANN, None, b"one")
    };
    offer(subject, caller(1, 1), vec![above]);
    subject.lose_state();
    let (epoch, top, _) = register(subject, 1, 2);
    assert!(epoch.start > ahead && top > epoch.start);
    assert!(contents(subject).0.is_empty());
    log(subject);
}

fn calls_of_an_older_connection_change_nothing(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    register(subject, 1, 2);
    let before = (head(subject), contents(subject));
    let late = caller(1, 1);
    let calls = [
        tick(late),
        Call::Offer {
            caller: late,
            users: vec![an_offer(ANN, None, b"late")],
        },
        Call::End {
            caller: late,
            ended: Incarnation(1),
            grace: Duration::ZERO,
        },
        Call::Drop {
            caller: late,
            users: vec![(user(ANN), Revision::NEVER)],
        },
    ];
    for call in &calls {
        assert_eq!(subject.call(call), Answer::NotRegistered);
    }
    register(subject, 1, 1);
    assert_eq!(
        (head(subject), contents(subject)),
        before,
        "a lower number is not taken"
    );
}

fn an_offer_on_the_stored_revision_is_taken(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    // Ids and states are bytes of anybody.
    let id = "a{b}\"'$(x) \u{1F600}";
    let first = taken(&offer(subject, caller(1, 1), vec![an_offer(id, None, b"\x00one\r\n")])[0]);
    assert_eq!(subject.online(), vec![user(id)]);
    assert_eq!(subject.custom_status(&user(id)), None);
    let next = UserOffer {
        listed: Listed::Set(CustomStatus::DoNotDisturb),
        ..an_offer(id, Some(first), b"two\xff")
    };
    let second = taken(&offer(subject, caller(1, 1), vec![next])[0]);
    assert!(second > first);
    assert_eq!(subject.custom_status(&user(id)), Some(CustomStatus::DoNotDisturb));
    assert_eq!(contents(subject).0, vec![(user(id), second, b"two\xff".to_vec())]);
    let last = log(subject).pop().unwrap();
    let content = Content::State {
        user: user(id),
        state: b"two\xff".to_vec(),
        by: Incarnation(1),
    };
    assert_eq!((last.id, last.content), (second, content));
    let absent = UserOffer {
        is_present: false,
        listed: Listed::Remove,
        ..an_offer(id, Some(second), b"three")
    };
    taken(&offer(subject, caller(1, 1), vec![absent])[0]);
    assert!(subject.online().is_empty() && subject.custom_status(&user(id)).is_none());
    assert_eq!(contents(subject).0.len(), 1, "it stays until it is dropped");
}

fn an_offer_on_another_revision_is_answered(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    let unknown = an_offer(ANN, Some(Revision::new(5)), b"x");
    assert_eq!(offer(subject, caller(1, 1), vec![unknown]), vec![Outcome::Stored(None)]);
    let first = taken(&offer(subject, caller(1, 1), vec![an_offer(ANN, None, b"one")])[0]);
    let before = head(subject);
    let stored = Outcome::Stored(Some((first, b"one".to_vec())));
    for base in [None, Some(Revision::new(first.get() - 1))] {
        let outcomes = offer(subject, caller(1, 1), vec![an_offer(ANN, base, b"two")]);
        assert_eq!(outcomes, vec![stored.clone()]);
    }
    assert_eq!(head(subject), before);
}

fn a_revision_is_above_the_floor(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    let floor = Revision::new(1 << 52);
    let above = UserOffer {
        floor,
        ..an_offer(ANN, None, b"one")
    };
    let revision = taken(&offer(subject, caller(1, 1), vec![above])[0]);
    assert_eq!(revision, Revision::new((1 << 52) + 1));
    let after = taken(&offer(subject, caller(1, 1), vec![an_offer("bob", None, b"two")])[0]);
    assert_eq!(after, Revision::new((1 << 52) + 2), "whatever the clock says");
}

fn users_of_one_call_are_decided_one_by_one(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    let first = taken(&offer(subject, caller(1, 1), vec![an_offer(ANN, None, b"one")])[0]);
    let users = vec![
        an_offer("bob", None, b"b"),
        an_offer(ANN, None, b"conflict"),
        an_offer("cem", None, b"c"),
    ];
    let outcomes = offer(subject, caller(1, 1), users);
    assert_eq!(outcomes[1], Outcome::Stored(Some((first, b"one".to_vec()))));
    assert!(taken(&outcomes[0]) < taken(&outcomes[2]));
    assert_eq!(log(subject).len(), 5);
}

fn an_ended_registration_calls_no_more(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    register(subject, 2, 1);
    let end = Call::End {
        caller: caller(1, 1),
        ended: Incarnation(2),
        grace: Duration::from_millis(12_345),
    };
    let Answer::Noted { revision: Some(id), .. } = subject.call(&end) else {
        panic!("not ended")
    };
    let last = log(subject).pop().unwrap();
    let content = Content::Ended {
        incarnation: Incarnation(2),
        grace: Duration::from_millis(12_345),
        by: Incarnation(1),
    };
    assert_eq!((last.id, last.content), (id, content));
    assert!(
        matches!(subject.call(&end), Answer::Noted { revision: None, .. }),
        "it is ended once"
    );
    assert_eq!(subject.call(&tick(caller(2, 1))), Answer::NotRegistered);
    let (_, _, is_new) = register(subject, 2, 2);
    assert!(is_new, "it may come back");
}

fn only_users_at_their_revision_are_dropped(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    let users = vec![an_offer(ANN, None, b"a"), an_offer("bob", None, b"b")];
    let outcomes = offer(subject, caller(1, 1), users);
    let (ann, bob) = (taken(&outcomes[0]), taken(&outcomes[1]));
    let drop = |ann: Revision| Call::Drop {
        caller: caller(1, 1),
        users: vec![(user(ANN), ann), (user("nobody"), ann)],
    };
    let before = head(subject);
    assert!(matches!(
        subject.call(&drop(Revision::new(7))),
        Answer::Noted { revision: None, .. }
    ));
    assert_eq!(head(subject), before);
    assert!(matches!(
        subject.call(&drop(ann)),
        Answer::Noted { revision: Some(_), .. }
    ));
    let content = Content::Dropped {
        users: vec![user(ANN)],
        by: Incarnation(1),
    };
    assert_eq!(log(subject).pop().unwrap().content, content);
    assert_eq!(contents(subject).0, vec![(user("bob"), bob, b"b".to_vec())]);
}

fn pages_hold_whoever_is_there(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    for call in 0..20 {
        let users = (0..64)
            .map(|number| an_offer(&format!("user-{call}-{number}"), None, b"state"))
            .collect();
        offer(subject, caller(1, 1), users);
    }
    let (users, nodes) = contents(subject);
    assert_eq!((users.len(), nodes.len()), (1_280, 1));
}
