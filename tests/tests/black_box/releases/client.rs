//! The JavaScript client of the release, run by Node.js.

use std::process::{Command, Stdio};

use presence::Status;
use presence::wire::record::Update;
use presence_tests::Daemon;
use presence_tests::binaries::repository;
use presence_tests::wait::within_deadline;
use serde_json::{Value, json};

use super::archive;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_library_of_the_release_works_with_the_daemon_of_today() {
    let daemon = Daemon::start(&[]).await;
    let mut watcher = daemon.socket("watcher").await;
    watcher.watch(&["alice"]).await;
    let mut node = Command::new("node");
    node.arg(repository().join("tests/releases/client.mjs"))
        .arg(archive::path("client/index.js"))
        .arg(daemon.address().to_string())
        .arg(daemon.file("jwt-key"))
        .stdin(Stdio::null());
    let running =
        tokio::task::spawn_blocking(move || node.output().expect("needs Node.js, which scripts/test installs"));
    let output = within_deadline("the client ends", running).await.unwrap();
    let [said, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{said}{error}");
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        json!({"own": "DO_NOT_DISTURB"}),
        json!({"bob": "ONLINE"}),
        json!({"bob": "IDLE"}),
        json!({"resumed": true, "snapshotResumed": true}),
        json!({"bob": "ONLINE"}),
        json!({"bob": "OFFLINE"}),
    ];
    assert_eq!(said, expected);
    // The loss in between was no event.
    let mut seen = Vec::new();
    while seen.last() != Some(&Status::Offline) {
        let updates = watcher.next_updates().await;
        seen.extend(updates.iter().filter_map(|update| match update {
            Update::Record(record) => Some(record.status),
            Update::Removed(_) => None,
        }));
    }
    seen.dedup();
    assert_eq!(seen.last(), Some(&Status::Offline));
    assert_eq!(
        seen.iter().filter(|status| **status == Status::Offline).count(),
        1,
        "{seen:?}"
    );
}
