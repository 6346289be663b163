//! A row that was read before the log told what it has.

use presence::replication::SharedPart;
use presence::{DurablePart, Report};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_was_read_before_the_log_told_it_is_shown() {
    let node = SharedNode::start().await;
    let (ann, now) = (user("ann"), node.now());
    let report = NewReport {
        source: Source::default(),
        status: CustomStatus::Online,
        said: None,
        since: now,
        heard: now,
        last_active: None,
        expires_at: None,
    };
    let times = ReportTimes {
        last_seen: now,
        last_active: None,
    };
    let written = node.store.save_report(&ann, report.clone(), times, Version::NONE).await;
    let version = written.expect("stored").version;
    let _pin = node.engine.load_one(&ann).await.expect("read");
    let reports = || {
        node.engine
            .users
            .find(&ann)
            .map(|entry| entry.state.profile().reports().len())
    };
    assert_eq!(reports(), Some(1), "as the row has it");
    let logged = Report {
        source: report.source.clone(),
        status: report.status,
        since: now,
        heard: now,
        version,
        said: version,
        last_active: None,
        expires: None,
    };
    let of_log = |reports: Vec<Report>| State {
        durable: SharedPart {
            ends: vec![None; reports.len()],
            part: DurablePart {
                version,
                reports: reports.into_boxed_slice(),
                ..DurablePart::default()
            },
        },
        status: Status::Online,
        since: Some(now),
        ..State::default()
    };
    let first = u64::try_from(now.as_millis()).expect("a time") * 1_000;
    node.show("ann", first, of_log(vec![]));
    assert_eq!(reports(), Some(0), "the log ends reports");
    node.show("ann", first + 1, of_log(vec![logged]));
    assert_eq!(reports(), Some(1), "the log has it");
    node.stop().await;
}
