//! What a service manager is told (`sd_notify(3)`), by a socket in the place of systemd's.

use std::collections::HashMap;
use std::time::Duration;

use presence_tests::Daemon;
use presence_tests::daemon::Setup;
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// The end of the socket that systemd would have.
struct ServiceManager {
    socket: UnixDatagram,
    dir: TempDir,
}

impl ServiceManager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        Self { socket, dir }
    }

    fn setup(&self, flags: &[&str]) -> Setup {
        Setup::new(flags).with_variable("NOTIFY_SOCKET", self.dir.path().join("notify"))
    }

    /// The next message that is about the state, each variable with its value. Proofs of life are left out.
    async fn state(&self) -> HashMap<String, String> {
        loop {
            let message = self.message().await;
            if !message.contains_key("WATCHDOG") {
                return message;
            }
        }
    }

    async fn message(&self) -> HashMap<String, String> {
        let mut buffer = [0; 4096];
        let received = timeout(PATIENCE, self.socket.recv(&mut buffer)).await;
        let length = received.expect("a message").unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        let variables = text.lines().map(|line| line.split_once('=').expect(line));
        variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

fn is_ready(state: &HashMap<String, String>, daemon: &Daemon) -> bool {
    let status = format!("accepting on {}", daemon.address());
    state["READY"] == "1" && state["STATUS"].starts_with(&status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_of_start_reload_and_stop() {
    let manager = ServiceManager::new();
    let mut daemon = manager.setup(&[]).start().await;
    assert!(is_ready(&manager.state().await, &daemon));
    daemon.process().hang_up();
    let reloading = manager.state().await;
    assert_eq!(reloading["RELOADING"], "1");
    assert!(reloading["MONOTONIC_USEC"].parse::<u64>().is_ok(), "{reloading:?}");
    let reloaded = manager.state().await;
    assert!(
        is_ready(&reloaded, &daemon) && !reloaded["STATUS"].contains("failed"),
        "{reloaded:?}"
    );
    std::fs::write(daemon.file("jwt-key"), "short").unwrap();
    daemon.process().hang_up();
    assert_eq!(manager.state().await["RELOADING"], "1");
    let failed = manager.state().await;
    assert!(is_ready(&failed, &daemon), "{failed:?}");
    assert!(failed["STATUS"].contains("the last reload failed: ") && failed["STATUS"].contains("jwt-key"));
    daemon.terminate().await;
    assert_eq!(manager.state().await["STOPPING"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_is_told_in_time_that_the_daemon_is_alive() {
    let manager = ServiceManager::new();
    let _daemon = manager
        .setup(&[])
        .with_variable("WATCHDOG_USEC", "600000")
        .start()
        .await;
    let mut proofs = 0;
    while proofs < 5 {
        proofs += usize::from(manager.message().await.contains_key("WATCHDOG"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_a_watchdog_sends_no_proofs_of_life() {
    let manager = ServiceManager::new();
    let mut daemon = manager.setup(&[]).start().await;
    assert!(is_ready(&manager.message().await, &daemon));
    daemon.terminate().await;
    assert_eq!(manager.message().await["STOPPING"], "1");
}
