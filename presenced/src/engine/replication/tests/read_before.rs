//! What is read of the database before the log has told it.

use presence::replication::SharedPart;
use presence::wire::record::Update;
use presence::wire::server_message::ServerMessage;
use presence::{DurablePart, Reason, Report};

use super::*;
use crate::engine::persistence::UnknownOutcome;
use crate::engine::publisher::Publication;
use crate::engine::publisher::changes::Since;
use crate::engine::tests::stepped_engine::SteppedClient;

/// A user as the log has it, of that version, with the report of a gateway or after its end.
fn of_log(version: Version, at: Wall, is_reported: bool) -> State {
    let report = Report {
        source: Source::default(),
        status: CustomStatus::Online,
        since: at,
        heard: at,
        version,
        said: version,
        last_active: None,
        expires: None,
    };
    let reports: Box<[Report]> = is_reported.then_some(report).into_iter().collect();
    State {
        durable: SharedPart {
            ends: vec![None; reports.len()],
            part: DurablePart {
                version,
                reports,
                ..DurablePart::default()
            },
        },
        status: Status::Online,
        since: Some(at),
        ..State::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_was_read_before_the_log_told_it_is_shown() {
    let node = SharedNode::start().await;
    let (ann, now) = (user("ann"), node.now());
    let version = node.store_report("ann").await;
    let _pin = node.engine.load_one(&ann).await.expect("read");
    let reports = || {
        let entry = node.engine.users.find(&ann).expect("in memory");
        entry.state.profile().reports().len()
    };
    assert_eq!(reports(), 1, "as the row has it");
    node.show("ann", micros(now), of_log(version, now, false));
    assert_eq!(reports(), 0, "the log ends reports");
    node.show("ann", micros(now) + 1, of_log(version, now, true));
    assert_eq!(reports(), 1, "the log has it");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_unknown_outcome_is_told_of_a_user_in_no_state() {
    let node = SharedNode::start().await;
    let ann = user("ann");
    let pin = node.engine.load_one(&ann).await.expect("read");
    node.store_report("ann").await;
    let unknown = &node.engine.persistence.unknown_outcomes;
    unknown.push(pin.clone(), UnknownOutcome::Change);
    node.engine.settle_unknown_outcomes().await;
    node.until_shown(&ann, |shown| shown.status == Some(Status::Online))
        .await;
    node.stop().await;
}

/// What the copy of the log has of a user who is not in memory, before what follows of it is carried out: the user comes into
/// memory by it.
fn read(node: &SharedNode, name: &str, revision: u64, state: &State) -> UserPin {
    let shown = Some((Revision::new(revision), state.clone()));
    let read = node.engine.shown_state(&user(name), None, shown);
    let mut entry = node.engine.users.insert(&user(name), || (read, Publication::default()));
    node.engine.tell_read(&mut entry);
    entry.pin()
}

#[tokio::test(flavor = "multi_thread")]
async fn observers_are_told_once_of_a_user_who_was_read_before_the_log_told_it() {
    let node = SharedNode::start().await;
    // Above all that the node had at its start.
    let (ann, now) = (user("ann"), node.now().after(Duration::from_secs(1)));
    let state = of_log(Version::NONE, now, false);
    let is_told = |after: u64| {
        let changed = node.engine.publisher.changed_since(Revision::new(after));
        changed
            .expect("a revision of this run")
            .contains(&Since::Changed(ann.clone()))
    };
    let at = micros(now);
    let _pin = read(&node, "ann", at, &state);
    assert_eq!(node.shown(&ann).status, Some(Status::Online));
    assert!(is_told(at - 1));
    // What changes nothing that is seen is not told.
    node.show("ann", at, state.clone());
    node.show("ann", at + 1, state);
    assert!(!is_told(at));
    assert_eq!(
        node.engine
            .metrics
            .transitions(Status::Offline, Status::Online, Reason::NoSession),
        1
    );
    node.stop().await;
}

/// Reads what an observer is sent until this user is told at this revision: what was told before, and that.
async fn told_until(observer: &SteppedClient, name: &str, revision: u64) -> Vec<(String, u64)> {
    let last = (name.to_owned(), revision);
    let mut told = Vec::new();
    let reading = async {
        while !told.contains(&last) {
            next_look().await;
            told.extend(
                observer
                    .messages()
                    .into_iter()
                    .flat_map(|message| match message {
                        ServerMessage::Presence { users, .. } | ServerMessage::Snapshot { users, .. } => users,
                        _ => Vec::new(),
                    })
                    .map(|update: Update| (update.user_id().to_string(), update.revision().get())),
            );
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("in time");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_of_a_user_who_was_read_before_the_log_told_it_is_told_once() {
    let node = SharedNode::start().await;
    let now = node.now().after(Duration::from_secs(1));
    let online = of_log(Version::NONE, now, false);
    let idle = State {
        status: Status::Idle,
        ..online.clone()
    };
    let (at, told) = (micros(now), |name: &str, revision| (name.to_owned(), revision));
    let watcher = SteppedClient::of(&node.engine, None, 10_000);
    node.engine.connect_observer();
    watcher.conn.send_greeting(r#"{"type":"pong"}"#);
    node.show("bob", at - 9, online.clone());
    let _pin = read(&node, "ann", at, &online);
    let watched = [user("ann"), user("bob")].to_vec();
    node.engine
        .watch(&watcher.conn, None, watched, None)
        .await
        .expect("a watch");
    let mut listed = told_until(&watcher, "ann", at).await;
    listed.sort();
    assert_eq!(listed, [told("ann", at), told("bob", at - 9)]);
    // The log's word of before, of the same, and of a change; what is told of another user has come after what was told of this one.
    for (before, (revision, state)) in [(at - 1, &idle), (at, &online)].into_iter().enumerate() {
        node.show("ann", revision, state.clone());
        let bob = at - 8 + before as u64;
        node.show("bob", bob, if before == 0 { idle.clone() } else { online.clone() });
        assert_eq!(told_until(&watcher, "bob", bob).await, [told("bob", bob)]);
    }
    node.show("ann", at + 1, idle);
    assert_eq!(told_until(&watcher, "ann", at + 1).await, [told("ann", at + 1)]);
    node.stop().await;
}
