//! A process without free file descriptors: a child of the test, because it lowers its own limit.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpSocket;

use super::fixture::{HttpClient, ServerFixture, until};
use crate::clock::Stopwatch;
use crate::limits::Limits;

#[tokio::test]
#[ignore = "lowers the file limit of its process: the test below runs it in a child"]
async fn child_without_files() {
    let server = ServerFixture::start(Limits::default());
    let mut served = server.connect().await;
    assert!(served.ask("/hello").await.ends_with("hello"));
    // The late client's own socket exists already; to accept it takes another file.
    let late = TcpSocket::new_v4().unwrap();
    let before = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(0),
        maximum: before.maximum,
    };
    setrlimit(Resource::Nofile, none).unwrap();
    let mut late = HttpClient(late.connect(server.server.local_addr()).await.unwrap());
    until("a failure to accept", || server.metrics.accept_errors.get() > 0).await;
    let watch = Stopwatch::start();
    let errors = server.metrics.accept_errors.get();
    assert!(
        served.ask("/hello").await.ends_with("hello"),
        "open connections are served"
    );
    until("three more", || server.metrics.accept_errors.get() >= errors + 3).await;
    assert!(
        watch.elapsed() >= Duration::from_millis(200),
        "no busy loop: {:?}",
        watch.elapsed()
    );
    setrlimit(Resource::Nofile, before).unwrap();
    assert!(late.ask("/hello").await.ends_with("hello"), "it had waited");
}

#[test]
fn without_a_free_file_the_server_waits_and_recovers() {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "server::tests::files::child_without_files",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
}
