//! The Autobahn test suite against the daemon's upgrade and frame code, through an echo route that only a test build
//! has.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use presence_tests::binaries::{presenced_with_echo_route, repository};
use presence_tests::daemon::Setup;
use presence_tests::wait::within;
use presence_tests::{Daemon, file_lock};
use serde_json::Value;

/// The number of cases without those of compression.
const CASES: usize = 301;
const RATES: [&str; 10] = [
    "--messages-per-second",
    "1000000000",
    "--messages-burst",
    "1000000000",
    "--bytes-per-second",
    "1024MiB",
    "--bytes-burst",
    "1024MiB",
    "--message-timeout",
    "120s",
];

/// Runs the suite and returns the result of each case.
async fn run(flags: &[&str]) -> BTreeMap<String, Value> {
    let daemon: Daemon = Setup::new(flags).program(presenced_with_echo_route()).start().await;
    let reports = daemon.home().path().join("reports");
    let mut script = Command::new(repository().join("scripts/autobahn"));
    script.arg(format!("ws://{}/autobahn", daemon.address())).arg(&reports);
    let running = tokio::task::spawn_blocking(move || script.output().unwrap());
    let output = within("the cases run", std::time::Duration::from_secs(600), running)
        .await
        .unwrap();
    let index = std::fs::read_to_string(reports.join("index.json")).unwrap_or_else(|error| {
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        panic!("no report ({error}); scripts/autobahn said:\n{out}{err}");
    });
    let index: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(&index).unwrap();
    index.into_values().flatten().collect()
}

fn passed(case: &Value) -> bool {
    ["behavior", "behaviorClose"]
        .iter()
        .all(|outcome| matches!(case[outcome].as_str(), Some("OK" | "NON-STRICT" | "INFORMATIONAL")))
}

#[tokio::test(flavor = "multi_thread")]
async fn autobahn_cases_pass_with_raised_limits() {
    let _lock = file_lock::heavy().await;
    let flags = [&RATES[..], &["--max-message", "20MiB"]].concat();
    let cases = run(&flags).await;
    let failed: Vec<_> = cases.iter().filter(|(_, case)| !passed(case)).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(cases.len(), CASES);
}

#[tokio::test(flavor = "multi_thread")]
async fn autobahn_fails_only_long_messages_at_the_default_size() {
    let _lock = file_lock::heavy().await;
    let cases = run(&RATES).await;
    let failed: BTreeSet<&str> = cases
        .iter()
        .filter(|(_, case)| !passed(case))
        .map(|(name, _)| name.as_str())
        .collect();
    // Messages of 64 KiB and more, unfragmented, in fragments, or in small writes.
    let single = ["1.1.6", "1.1.7", "1.1.8", "1.2.6", "1.2.7", "1.2.8", "10.1.1"].map(str::to_owned);
    let groups = [("9.1", 6), ("9.2", 6), ("9.3", 9), ("9.4", 9), ("9.5", 6), ("9.6", 6)];
    let grouped = groups
        .iter()
        .flat_map(|(group, count)| (1..=*count).map(move |case| format!("{group}.{case}")));
    let expected: BTreeSet<String> = single.into_iter().chain(grouped).collect();
    assert_eq!(failed, expected.iter().map(String::as_str).collect());
    for name in failed {
        assert_eq!(cases[name]["remoteCloseCode"], 1009, "{name}");
    }
    assert_eq!(cases.len(), CASES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_build_has_no_echo_route() {
    let daemon = Daemon::start(&[]).await;
    let response = presence_tests::RawClient::connect(daemon.address())
        .await
        .upgrade("/autobahn", &[])
        .await;
    assert_eq!((response.status, response.code().as_str()), (404, "not_found"));
}
