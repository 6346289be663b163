//! The recordings of a release, in `tests/releases`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use presence_tests::Daemon;
use presence_tests::binaries::repository;
use presence_tests::daemon::Setup;
use serde_json::Value;
use tempfile::TempDir;

/// The release that is compared.
const VERSION: &str = "0.1.0";

/// The name of the node that was recorded, which its data name too.
pub(super) const NODE: [&str; 2] = ["--node-name", "recorded"];

/// The path of a recording.
pub(super) fn path(name: &str) -> PathBuf {
    repository().join("tests/releases").join(VERSION).join(name)
}

pub(super) fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

pub(super) fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap()
}

/// A new home with what a daemon has left of this name: its data directory, and `dump.rdb` of the Redis of the cluster.
pub(super) fn home(name: &str) -> Arc<TempDir> {
    let home = tempfile::Builder::new().prefix("presence-test-").tempdir().unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(path("data.tar.gz")).arg("-C").arg(home.path());
    tar.args(["--no-same-owner", "--strip-components=1", "data/dump.rdb"]);
    assert!(tar.arg(format!("data/{name}")).status().unwrap().success());
    std::fs::rename(home.path().join(name), home.path().join("state")).unwrap();
    Arc::new(home)
}

/// Starts a daemon of today on a new data directory, as the recorded one was started.
pub(super) async fn daemon() -> Daemon {
    Setup::new(&NODE).start().await
}
