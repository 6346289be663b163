//! All nodes of a cluster are restarted one after the other, or one of them crashes, while simulated users come and go: who has
//! not signed out is not shown OFFLINE by any node, and clients continue their sessions on other nodes.

use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use presence::Status;
use presence::wire::rest::SessionStats;
use presence::wire::server_message::ServerMessage;
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::connection_load::join_all;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::presencectl::StreamingCommand;
use presence_tests::recorder::Recorders;
use presence_tests::redis_server::RedisServer;
use presence_tests::wait::{let_time_pass, wait_for};
use presence_tests::websocket::ConnectionEnd;
use presence_tests::{Daemon, Socket};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine. The lease is the default's: nobody is declared dead who is slow.
const PATIENT: Duration = Duration::from_secs(120);
/// For how long the simulated users go on when all are connected again. Each is answered within a fraction of a second.
const LIVES_ON: Duration = Duration::from_secs(5);
/// The graces outlast the time that a busy machine needs until a client is back.
const GRACES: [&str; 8] = [
    "--grace",
    "60s",
    "--restart-grace",
    "60s",
    "--node-grace",
    "60s",
    "--drain-rate",
    "50",
];

/// Three nodes with one secret, recorders on each, users who stay, and simulated ones.
struct Rollout {
    cluster: Cluster,
    recorders: Recorders,
    stayers: Vec<Stayer>,
    simulation: StreamingCommand,
    _files: TempDir,
}

/// A user with one connection, which it opens again on another node when that ends.
struct Stayer {
    name: String,
    node: usize,
    socket: Socket,
}

impl Rollout {
    async fn begin() -> Self {
        let files = tempfile::tempdir().unwrap();
        let secret = files.path().join("secret");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&secret).unwrap();
        std::io::Write::write_all(&mut file, b"a-secret-that-all-nodes-have-in-common\n").unwrap();
        let secret = secret.to_str().unwrap().to_owned();
        let flags = [GRACES.as_slice(), &["--secret-file", &secret]].concat();
        let redis = Arc::new(RedisServer::start(&[]));
        let cluster = Cluster::start_linked(PostgresServer::shared(), redis, &flags).await;
        for node in cluster.nodes() {
            std::fs::copy(&secret, node.file("secret")).unwrap();
        }
        let [a, b, c] = cluster.nodes();
        let urls = [a, b, c].map(|node| format!("http://{}", node.address()));
        let simulate = [
            "simulate",
            "--users",
            "45",
            "--rate",
            "30",
            "--duration",
            "1h",
            "--keep",
            "-o",
            "json",
            "--server",
            &urls[0],
            "--also",
            &urls[1],
            "--also",
            &urls[2],
            "--secret-file",
            &secret,
        ];
        let simulation = StreamingCommand::start(a, &simulate);
        let recorders = Recorders::start(Stopwatch::start(), &[("a", a), ("b", b), ("c", c)]).await;
        let stayers = join_all((0..12).map(|number| Stayer::connect(&cluster, number))).await;
        let scene = Self {
            recorders,
            stayers,
            simulation,
            _files: files,
            cluster,
        };
        scene.recorders.all_show(&scene.names(), Status::Online, PATIENT).await;
        // What is told of somebody who comes afterwards is told after their snapshots.
        scene
            .until("all simulated users watch others", 45, |sessions| sessions.watchers)
            .await;
        let marker = scene.cluster.a.socket("marker").await;
        scene.recorders.all_show(&["marker"], Status::Online, PATIENT).await;
        drop(marker);
        scene
    }

    /// Waits until the nodes together count so many.
    async fn until(&self, what: &str, least: u64, count: impl Fn(SessionStats) -> u64) {
        wait_for(what, PATIENT, async || {
            let counts = self
                .cluster
                .nodes()
                .map(async |node| node.rest().stats().await.sessions);
            let all: u64 = join_all(counts).await.into_iter().map(&count).sum();
            (all >= least).then_some(())
        })
        .await;
    }

    fn names(&self) -> Vec<String> {
        self.stayers.iter().map(|stayer| stayer.name.clone()).collect()
    }

    /// The connections to this node end: their clients go to the two others. All continue their sessions.
    async fn move_from(&mut self, node: usize) {
        let nodes = self.cluster.nodes();
        let leaving = self.stayers.iter_mut().filter(|stayer| stayer.node == node);
        join_all(
            leaving
                .enumerate()
                .map(|(index, stayer)| stayer.move_to((node + 1 + index % 2) % 3, &nodes)),
        )
        .await;
    }

    /// Ends the simulation once its users are back. What it says.
    async fn end(self, began: Duration) -> Value {
        self.until("nearly all clients are connected", 54, |sessions| sessions.connections)
            .await;
        self.recorders.all_show(&self.names(), Status::Online, PATIENT).await;
        // Who is connected has not been told yet whether it continues its session, and what it missed.
        let_time_pass(LIVES_ON).await;
        self.recorders.no_change(&self.names(), began);
        self.recorders.revisions_grew();
        self.simulation.interrupt();
        wait_for("the simulation ends and says how it went", PATIENT, async || {
            serde_json::from_str(&self.simulation.lines().join("\n")).ok()
        })
        .await
    }
}

impl Stayer {
    async fn connect(cluster: &Cluster, number: usize) -> Self {
        let name = format!("stays-{number:02}");
        let node = number % 3;
        let socket = cluster.nodes()[node].socket(&name).await;
        Self { name, node, socket }
    }

    async fn move_to(&mut self, node: usize, nodes: &[&Daemon; 3]) {
        let after = match self.socket.ended().await {
            ConnectionEnd::Closed(1012, _) => Duration::from_millis(500),
            ConnectionEnd::Lost => Duration::ZERO,
            other => panic!("{}: {other:?}", self.name),
        };
        let_time_pass(after).await;
        let lost = std::mem::take(&mut self.socket.session);
        self.node = node;
        self.socket = nodes[node].socket(&self.name).await;
        let answer = self.socket.ask(json!({"type": "resume", "sessionId": lost})).await;
        let is_resumed = matches!(
            answer,
            ServerMessage::Ok {
                resumed: Some(true),
                ..
            }
        );
        assert!(is_resumed, "{}: {answer:?}", self.name);
    }
}

/// Nobody who had not signed out was shown OFFLINE, and sessions were continued.
fn assert_continued(said: &Value, restarted: bool) {
    assert_eq!(said["unexpectedOffline"], 0, "{said}");
    assert!(said["resumed"].as_u64() > Some(5), "{said}");
    assert_eq!(said["notResumed"], 0, "{said}");
    assert!(said["watchesResumed"].as_u64() > Some(0), "{said}");
    assert_eq!(said["restarts"].as_u64() > Some(0), restarted, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_all_nodes_under_load_makes_no_event() {
    let mut scene = Rollout::begin().await;
    let began = scene.recorders.now();
    for node in 0..3 {
        scene.cluster.nodes()[node].process().terminate();
        scene.move_from(node).await;
        let restarted = [&mut scene.cluster.a, &mut scene.cluster.b, &mut scene.cluster.c];
        for (_, daemon) in restarted.into_iter().enumerate().filter(|(number, _)| *number == node) {
            assert_eq!(daemon.ended().await.code(), Some(0));
            daemon.start_again().await;
        }
        scene.recorders.all_show(&scene.names(), Status::Online, PATIENT).await;
    }
    let said = scene.end(began).await;
    assert_continued(&said, true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_one_node_under_load_makes_no_event() {
    let mut scene = Rollout::begin().await;
    let began = scene.recorders.now();
    scene.cluster.b.kill();
    scene.move_from(1).await;
    scene.cluster.b.start_again().await;
    let said = scene.end(began).await;
    assert_continued(&said, false);
}
