//! What is read of the database before the log has told it.

use presence::replication::SharedPart;
use presence::{DurablePart, Report};

use super::*;
use crate::engine::persistence::UnknownOutcome;

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
