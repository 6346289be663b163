//! What every implementation of a partition guarantees. Each test runs once for each.

use std::time::Duration;

use presence::replication::{Answer, Call, Content, Epoch, Incarnation, Listed, Outcome, Question, Reply, UserOffer};
use presence::{CustomStatus, Revision};

use super::subject::{A, B, Subject, caller, node_of, present, user};

#[tokio::test]
async fn a_partition_is_empty_until_a_node_registers() {
    for mut subject in Subject::all().await {
        let head = subject.query(Question::Head).await;
        assert_eq!(
            head,
            Reply::Head {
                head: Revision::NEVER,
                epoch: None
            }
        );
        assert_eq!(subject.history().await, []);
        assert_eq!(subject.state().await.users, []);
    }
}

#[tokio::test]
async fn the_first_registration_begins_an_epoch() {
    for mut subject in Subject::all().await {
        let Answer::Registered {
            epoch, head, is_new, ..
        } = subject.register(A).await
        else {
            panic!("not registered")
        };
        assert!(is_new && epoch.random == 7);
        let registered = Content::Registered {
            incarnation: A.incarnation,
            node: node_of(A),
        };
        assert_eq!(subject.history().await, [Content::Epoch(epoch), registered]);
        assert_eq!(subject.entries(Revision::NEVER).await[0].id, epoch.start);
        assert_eq!(
            subject.query(Question::Head).await,
            Reply::Head {
                head,
                epoch: Some(epoch)
            }
        );
        let expected = [(A.incarnation, A.connection, node_of(A))];
        assert_eq!(subject.state().await.registrations, expected);
    }
}

#[tokio::test]
async fn further_registrations_keep_the_epoch() {
    for mut subject in Subject::all().await {
        let first = subject.register(A).await;
        let second = subject.register(B).await;
        assert_eq!(epoch_of(&first), epoch_of(&second));
        assert_eq!(subject.history().await.len(), 3);
        assert_eq!(subject.state().await.registrations.len(), 2);
    }
}

#[tokio::test]
async fn a_higher_connection_number_voids_the_calls_of_lower_ones() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let later = caller(A.incarnation.0, 2);
        let again = subject.register(later).await;
        assert!(matches!(again, Answer::Registered { is_new: false, .. }));
        assert_eq!(subject.history().await.len(), 2, "no entry tells of a connection");
        // The call of the old connection comes late, and so does its registration.
        for late in [tick(A), offer(A, present("ann", b"old"))] {
            assert_eq!(subject.call(&late).await, Answer::NotRegistered);
        }
        subject.register(A).await;
        assert_eq!(subject.call(&tick(A)).await, Answer::NotRegistered);
        assert!(subject.note(tick(later)).await.is_some());
        assert_eq!(subject.state().await.users, []);
    }
}

#[tokio::test]
async fn nothing_is_taken_from_a_node_that_is_not_registered() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let before = subject.history().await;
        let end = Call::End {
            caller: B,
            ended: A.incarnation,
            grace: Duration::ZERO,
        };
        let drop = Call::Drop {
            caller: B,
            users: vec![(user("ann"), Revision::new(1))],
        };
        for call in [tick(B), offer(B, present("ann", b"")), end, drop] {
            assert_eq!(subject.call(&call).await, Answer::NotRegistered, "{call:?}");
        }
        assert_eq!(subject.history().await, before);
    }
}

#[tokio::test]
async fn an_offer_is_taken_only_on_what_is_stored() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        subject.register(B).await;
        let first = subject.take(A, present("ann", b"one")).await;
        // Built by somebody who did not know of it, or knew another revision.
        for base in [None, Some(Revision::new(first.get() - 1))] {
            let blind = UserOffer {
                base,
                ..present("ann", b"blind")
            };
            let outcome = subject.offer(B, vec![blind]).await;
            assert_eq!(outcome, [Outcome::Stored(Some((first, b"one".to_vec())))]);
        }
        let unknown = UserOffer {
            base: Some(first),
            ..present("bob", b"")
        };
        assert_eq!(subject.offer(B, vec![unknown]).await, [Outcome::Stored(None)]);
        let next = UserOffer {
            base: Some(first),
            ..present("ann", b"two")
        };
        let second = subject.take(B, next).await;
        assert!(second > first);
        assert_eq!(subject.state().await.users, [(user("ann"), second, b"two".to_vec())]);
        let history = subject.history().await;
        let [.., one, two] = history.as_slice() else {
            panic!("too short: {history:?}")
        };
        assert_eq!((one, two), (&state("ann", b"one", A), &state("ann", b"two", B)));
    }
}

#[tokio::test]
async fn users_of_one_offer_are_decided_one_by_one() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let known = subject.take(A, present("bob", b"known")).await;
        let users = vec![present("ann", b"a"), present("bob", b"b"), present("cem", b"c")];
        let outcomes = subject.offer(A, users).await;
        let [Outcome::Taken(ann), Outcome::Stored(Some(bob)), Outcome::Taken(cem)] = outcomes.as_slice() else {
            panic!("{outcomes:?}")
        };
        assert_eq!(*bob, (known, b"known".to_vec()));
        assert!(known < *ann && ann < cem);
        assert_eq!(subject.history().await.len(), 5);
        assert_eq!(subject.head().await, *cem);
    }
}

#[tokio::test]
async fn a_revision_is_above_head_and_floor() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let head = subject.head().await;
        let ahead = Revision::new(head.get() + 1_000_000_000);
        let told = UserOffer {
            floor: ahead,
            ..present("ann", b"")
        };
        assert_eq!(subject.take(A, told).await, Revision::new(ahead.get() + 1));
        // The clock is far behind now.
        assert_eq!(
            subject.take(A, present("bob", b"")).await,
            Revision::new(ahead.get() + 2)
        );
        assert_eq!(subject.note(tick(A)).await, Some(Revision::new(ahead.get() + 3)));
        subject.history().await;
    }
}

#[tokio::test]
async fn hostile_ids_and_states_are_stored_as_they_are() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let names = [
            "{0}",
            "*",
            "-",
            "+",
            "presence:{3}:state",
            "a b",
            "'\"]]",
            "%d%s",
            "\u{1f600}",
        ];
        let bytes: Vec<u8> = (0..=255).collect();
        for name in names {
            subject.take(A, present(name, &bytes)).await;
        }
        let stored = subject.state().await.users;
        assert_eq!(stored.len(), names.len());
        assert!(stored.iter().all(|(_, _, state)| *state == bytes));
        assert_eq!(subject.online().await, names.into_iter().map(str::to_owned).collect());
        let history = subject.history().await;
        for (name, content) in names.iter().zip(&history[2..]) {
            assert_eq!(*content, state(name, &bytes, A));
        }
    }
}

#[tokio::test]
async fn other_services_read_presence_and_custom_statuses() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let listed = UserOffer {
            listed: Listed::Set(CustomStatus::DoNotDisturb),
            ..present("ann", b"")
        };
        let first = subject.take(A, listed).await;
        subject.take(A, present("bob", b"")).await;
        assert_eq!(subject.online().await, ["ann".to_owned(), "bob".to_owned()].into());
        let expected = ("ann".to_owned(), "DO_NOT_DISTURB".to_owned());
        assert_eq!(subject.custom_statuses().await, [expected.clone()].into());
        // She leaves; what she chose holds. Then she chooses ONLINE.
        let left = UserOffer {
            base: Some(first),
            is_present: false,
            ..present("ann", b"")
        };
        let second = subject.take(A, left.clone()).await;
        assert_eq!(subject.online().await, ["bob".to_owned()].into());
        assert_eq!(subject.custom_statuses().await, [expected].into());
        let removed = UserOffer {
            base: Some(second),
            listed: Listed::Remove,
            ..left
        };
        subject.take(A, removed).await;
        assert_eq!(subject.custom_statuses().await, [].into());
    }
}

#[tokio::test]
async fn a_tick_is_an_entry() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let revision = subject.note(tick(A)).await;
        assert_eq!(revision, Some(subject.head().await));
        let expected = Content::Tick {
            by: A.incarnation,
            content: b"alive\0".to_vec(),
        };
        assert_eq!(subject.history().await.last(), Some(&expected));
    }
}

#[tokio::test]
async fn an_end_is_told_once_and_refuses_all_further_calls() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        subject.register(B).await;
        let end = Call::End {
            caller: B,
            ended: A.incarnation,
            grace: Duration::from_millis(12_345),
        };
        assert!(subject.note(end.clone()).await.is_some());
        let expected = Content::Ended {
            incarnation: A.incarnation,
            grace: Duration::from_millis(12_345),
            by: B.incarnation,
        };
        assert_eq!(subject.history().await.last(), Some(&expected));
        let before = subject.head().await;
        assert_eq!(subject.note(end).await, None);
        assert_eq!(subject.call(&tick(A)).await, Answer::NotRegistered);
        assert_eq!(subject.head().await, before);
        // It may register again, and end itself.
        let again = subject.register(caller(A.incarnation.0, 2)).await;
        assert!(matches!(again, Answer::Registered { is_new: true, .. }));
        let itself = Call::End {
            caller: caller(A.incarnation.0, 2),
            ended: A.incarnation,
            grace: Duration::ZERO,
        };
        assert!(subject.note(itself.clone()).await.is_some());
        assert_eq!(subject.call(&itself).await, Answer::NotRegistered);
    }
}

#[tokio::test]
async fn a_drop_removes_users_only_at_the_revision_it_names() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let mut revisions = Vec::new();
        for name in ["ann", "bob", "cem"] {
            let absent = UserOffer {
                is_present: false,
                ..present(name, b"")
            };
            revisions.push(subject.take(A, absent).await);
        }
        let newer = UserOffer {
            base: Some(revisions[1]),
            ..present("bob", b"back")
        };
        let back = subject.take(A, newer).await;
        let names = ["ann", "bob", "cem", "dan"].map(user);
        let users = names.into_iter().zip([revisions[0], revisions[1], revisions[2], back]);
        let drop = Call::Drop {
            caller: A,
            users: users.collect(),
        };
        assert!(subject.note(drop.clone()).await.is_some());
        let expected = Content::Dropped {
            users: vec![user("ann"), user("cem")],
            by: A.incarnation,
        };
        assert_eq!(subject.history().await.last(), Some(&expected));
        assert_eq!(subject.state().await.users, [(user("bob"), back, b"back".to_vec())]);
        assert_eq!(subject.note(drop).await, None, "there is nothing left to drop");
        assert_eq!(subject.online().await, ["bob".to_owned()].into());
    }
}

pub(super) fn epoch_of(answer: &Answer) -> Epoch {
    match answer {
        Answer::Registered { epoch, .. } => *epoch,
        other => panic!("not registered: {other:?}"),
    }
}

pub(super) fn tick(caller: presence::replication::Caller) -> Call {
    Call::Tick {
        caller,
        content: b"alive\0".to_vec(),
    }
}

fn offer(caller: presence::replication::Caller, offer: UserOffer) -> Call {
    Call::Offer {
        caller,
        users: vec![offer],
    }
}

fn state(name: &str, state: &[u8], by: presence::replication::Caller) -> Content {
    let by: Incarnation = by.incarnation;
    Content::State {
        user: user(name),
        state: state.to_vec(),
        by,
    }
}
