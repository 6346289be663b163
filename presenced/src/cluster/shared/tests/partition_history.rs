//! The contract of one partition: its log and its state as they are read, and where its history breaks.

use presence::Revision;
use presence::replication::{Answer, Call, Question, Reply, UserOffer};

use super::partition_contract::{epoch_of, tick};
use super::subject::{A, B, Subject, node_of, present, user};

#[tokio::test]
async fn a_trimmed_log_gives_later_entries_that_name_what_is_missing() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let first = subject.head().await;
        let mut last = first;
        for _ in 0..5 {
            last = subject.note(tick(A)).await.expect("an entry");
        }
        subject.trim(2).await;
        let entries = subject.entries(first).await;
        assert_eq!(entries.len(), 2);
        assert!(entries[0].before > first, "whoever read up to there has missed some");
        assert_eq!(entries[1].id, last);
    }
}

#[tokio::test]
async fn a_read_waits_for_an_entry() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let head = subject.head().await;
        assert_eq!(subject.entries(head).await, [], "none came in time");
    }
}

#[tokio::test]
async fn a_large_state_is_read_in_pages() {
    const USERS: usize = 3_000;
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let offers: Vec<UserOffer> = (0..USERS).map(|i| present(&format!("user-{i}"), b"s")).collect();
        for some in offers.chunks(64) {
            subject.offer(A, some.to_vec()).await;
        }
        let Reply::Page(first) = subject.query(Question::Page { place: 0 }).await else {
            panic!("not a page")
        };
        assert!(first.next.is_some() && first.users.len() < USERS);
        let all = subject.state().await;
        assert_eq!((all.users.len(), all.registrations.len()), (USERS, 1));
    }
}

#[tokio::test]
async fn another_run_of_the_server_begins_a_new_epoch() {
    for mut subject in Subject::all().await {
        let before = subject.register(A).await;
        subject.register(B).await;
        let revision = subject.take(A, present("ann", b"one")).await;
        subject.restart().await;
        assert_eq!(subject.head().await, revision);
        let after = subject.register(A).await;
        assert!(epoch_of(&after).start > revision && epoch_of(&before) != epoch_of(&after));
        assert!(matches!(after, Answer::Registered { is_new: true, .. }));
        assert_eq!(subject.call(&tick(B)).await, Answer::NotRegistered);
        assert_eq!(subject.state().await.users, [(user("ann"), revision, b"one".to_vec())]);
        assert_eq!(subject.state().await.registrations.len(), 1);
        subject.history().await;
    }
}

#[tokio::test]
async fn a_lost_state_begins_a_new_epoch_above_the_log() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let head = subject.head().await;
        let ahead = UserOffer {
            floor: Revision::new(head.get() + 1_000_000_000),
            ..present("ann", b"")
        };
        let ahead = subject.take(A, ahead).await;
        subject.lose_state().await;
        assert_eq!(subject.call(&tick(A)).await, Answer::NotRegistered);
        let after = subject.register(A).await;
        assert_eq!(epoch_of(&after).start, Revision::new(ahead.get() + 1));
        assert_eq!(subject.state().await.users, []);
        subject.history().await;
    }
}

#[tokio::test]
async fn a_floor_of_the_node_raises_the_head() {
    for mut subject in Subject::all().await {
        subject.register(A).await;
        let read = Revision::new(subject.head().await.get() + 1_000_000_000);
        let register = Call::Register {
            caller: B,
            node: node_of(B),
            new_epoch: 8,
            floor: read,
        };
        subject.call(&register).await;
        let last = subject.entries(Revision::NEVER).await.pop().expect("an entry");
        // Whoever followed until then sees that something is missing.
        assert_eq!((last.before, last.id), (read, Revision::new(read.get() + 1)));
        assert_eq!(subject.head().await, last.id);
    }
}
