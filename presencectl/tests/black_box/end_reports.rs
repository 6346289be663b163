//! `end-reports`: all pages, after a confirmation.

use serde_json::{Value, json};

use crate::fake_daemon::{FakeDaemon, ok};
use crate::sandbox::Sandbox;

#[test]
fn the_reports_of_a_source_are_ended_page_by_page() {
    let daemon = FakeDaemon::start(|request| {
        let next = if request.line.contains("cursor=") {
            json!(null)
        } else {
            json!("616e6e")
        };
        ok(&json!({"ended": 3, "next": next}))
    });
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let run = sandbox.run(&["end-reports", "mqtt-1"]);
    assert_eq!(run.code, 2, "a confirmation needs a terminal: {run:?}");
    assert!(daemon.requests().is_empty());
    let run = sandbox.run(&["end-reports", "mqtt-1", "--yes"]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, "6 reports of mqtt-1 ended\n"),
        "{run:?}"
    );
    let lines: Vec<String> = daemon.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(
        lines,
        ["DELETE /api/reports/mqtt-1", "DELETE /api/reports/mqtt-1?cursor=616e6e"]
    );
    let run = sandbox.run(&["end-reports", "mqtt-1", "--yes", "-o", "json"]);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&document["source"], &document["ended"]), (&json!("mqtt-1"), &json!(6)));
    assert_eq!(sandbox.run(&["end-reports", "a b", "--yes"]).code, 2);
}

#[test]
fn a_source_without_reports_is_reported_as_such() {
    let daemon = FakeDaemon::start(|_| ok(&json!({"ended": 0, "next": null})));
    let run = Sandbox::with_daemon(&daemon.address()).run(&["end-reports", "typo", "--yes"]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, "typo has no reports; nothing was done\n"),
        "{run:?}"
    );
}
