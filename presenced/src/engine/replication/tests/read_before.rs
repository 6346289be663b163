//! What is read of the database before the log has told it.

use presence::replication::SharedPart;
use presence::{DurablePart, Reason, Report};

use super::*;
use crate::engine::persistence::UnknownOutcome;
use crate::engine::publisher::Publication;
use crate::engine::publisher::changes::Since;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_was_read_before_observers_were_told_is_told_once() {
    let node = SharedNode::start().await;
    // Above all that the node had at its start.
    let (ann, now) = (user("ann"), node.now().after(Duration::from_secs(1)));
    let (revision, state) = (Revision::new(micros(now)), of_log(Version::NONE, now, false));
    let before = Revision::new(micros(now) - 1);
    let is_told = |after: Revision| {
        let changed = node
            .engine
            .publisher
            .changed_since(after)
            .expect("a revision of this run");
        changed.contains(&Since::Changed(ann.clone()))
    };
    // The copy of the log has the user as present, and what follows of it is still to be carried out.
    let read = node.engine.shown_state(&ann, None, Some((revision, state.clone())));
    let _pin = node.engine.users.insert(&ann, || (read, Publication::default())).pin();
    assert_eq!(node.shown(&ann).status, Some(Status::Online));
    assert!(!is_told(before));
    node.show("ann", micros(now), state.clone());
    assert!(is_told(before));
    // What changes nothing that is seen is not told.
    node.show("ann", micros(now), state);
    assert!(!is_told(revision));
    assert_eq!(
        node.engine
            .metrics
            .transitions(Status::Offline, Status::Online, Reason::NoSession),
        1
    );
    node.stop().await;
}
