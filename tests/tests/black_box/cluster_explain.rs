//! What `explain` says of sessions on other nodes: each of them, or why not.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use presence::wire::rest::Explain;
use presence::{Activity, Status};
use presence_tests::cluster::Cluster;
use presence_tests::presencectl::run;
use presence_tests::wait::timed;
use presence_tests::{Daemon, wait_until};
use reqwest::Method;
use serde_json::json;

/// In which REST answers, whatever other servers do.
const ANSWERS_WITHIN: Duration = Duration::from_millis(600);

/// The connections, each with its node.
fn connections(explain: &Explain) -> Vec<(&str, &str)> {
    let connections = explain.sessions.iter().filter(|session| session.source.is_none());
    connections
        .map(|session| (session.node.as_deref().unwrap_or_default(), session.session_id.as_str()))
        .collect()
}

/// Why the connections on the node of that name are not listed, and how many it has.
fn error_of(explain: &Explain, node: &str) -> Option<(String, u32)> {
    let node = explain.nodes.iter().find(|one| one.node == node)?;
    Some((node.error.clone()?, node.connections))
}

/// What a node explains once it knows that each of these nodes has a connection of the user.
async fn explained(asked: &Daemon, user: &str, others: &[&str]) -> Explain {
    wait_until(&format!("connections on {others:?} are known"), async || {
        let explain = asked.rest().explain(user).await;
        let has = |name: &&str| {
            explain
                .nodes
                .iter()
                .any(|node| node.node == *name && node.connections > 0)
        };
        others.iter().all(has).then_some(explain)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_lists_the_sessions_of_all_nodes() {
    let cluster = Cluster::start(&["--idle-after", "50s"]).await;
    let [a, b, c] = cluster.nodes();
    let user = "al/ice ü";
    let first = a.socket(user).await;
    let second = b.socket(user).await;
    let third = b.socket(user).await;
    second.send(&json!({"type": "activity"}));
    c.rest()
        .report(user, json!({"status": "ONLINE", "source": "app"}))
        .await;
    let expected = [("a", &*first.session), ("b", &*second.session), ("b", &*third.session)];
    for node in [a, b, c] {
        let explain = wait_until("the activity is known", async || {
            let explain = node.rest().explain(user).await;
            let active = explain
                .sessions
                .iter()
                .filter(|one| one.activity == Some(Activity::Active));
            (active.count() == 2 && connections(&explain).len() == 3).then_some(explain)
        })
        .await;
        assert_eq!(connections(&explain), expected, "{explain:?}");
        assert_eq!(explain.sessions[3].session_id, "report:app");
        assert!(explain.nodes.iter().all(|node| node.error.is_none()), "{explain:?}");
        let second = &explain.sessions[1];
        assert!(second.last_active.is_some() && second.idle_at.is_some(), "{second:?}");
        let times = explain.sessions.iter().map(|one| one.last_heard.max(one.since));
        assert!(times.max() <= Some(explain.now), "{explain:?}");
    }
    // What one node alone knows is to be had as well.
    let path = "/api/presence/al%2Fice%20%C3%BC/explain?scope=node";
    let own: Explain = presence_tests::rest::send(c.rest().internal(Method::GET, path))
        .await
        .ok();
    assert_eq!((connections(&own).len(), own.nodes.len()), (0, 2), "{own:?}");

    let table = run(c, &["explain", user]).await;
    assert_eq!(table.code, 0, "{table:?}");
    for (node, session) in expected {
        let row = table.out.lines().find(|line| line.starts_with(session));
        assert!(row.is_some_and(|row| row.contains(&format!(" {node} "))), "{table:?}");
    }
    assert!(!table.out.contains("On node"), "{table:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_of_a_connection_elsewhere_is_among_the_next() {
    let cluster = Cluster::start(&["--idle-after", "50s"]).await;
    let [a, _, c] = cluster.nodes();
    let alice = a.socket("alice").await;
    alice.send(&json!({"type": "activity"}));
    let explain = wait_until("the next timer is known", async || {
        let explain = c.rest().explain("alice").await;
        (!explain.next.is_empty()).then_some(explain)
    })
    .await;
    assert_eq!(Some(explain.next[0].at), explain.sessions[0].idle_at, "{explain:?}");
    assert!(explain.next[0].why.starts_with("IDLE"), "{explain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stands_still_is_counted_and_named_in_time() {
    let cluster = Cluster::start(&["--lease", "60s"]).await;
    let [a, b, c] = cluster.nodes();
    let here = a.socket("alice").await;
    let _stopped = b.socket("alice").await;
    let there = c.socket("alice").await;
    let lists = async |count: usize| {
        wait_until("the nodes that run have answered in time", async || {
            let (explain, took) = timed(a.rest().explain("alice")).await;
            (connections(&explain).len() == count).then_some((explain, took))
        })
        .await
    };
    lists(3).await;
    b.process().stop();
    let (explain, took) = lists(2).await;
    let printed = run(a, &["explain", "alice"]).await;
    b.process().resume();
    assert!(took < ANSWERS_WITHIN, "{took:?}");
    assert_eq!(connections(&explain), [("a", &*here.session), ("c", &*there.session)]);
    let (error, count) = error_of(&explain, "b").expect("an error");
    assert_eq!((explain.status, count), (Status::Online, 1));
    assert!(error.starts_with("no answer from 127.0.0.1:"), "{error}");
    assert!(
        printed
            .out
            .contains("On node b: 1 connection; not listed, because the node does not answer: no answer from"),
        "{printed:?}"
    );
    lists(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_can_not_be_asked_are_counted_and_say_why() {
    let cluster = Cluster::start(&[]).await;
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("other-secret");
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&secret);
    writeln!(file.unwrap(), "a secret of its own").unwrap();
    let on_all = cluster.start_listening_on("0.0.0.0:0", "all", &["--insecure"]);
    let nowhere = cluster.start_listening_on("127.0.0.1:0", "nowhere", &["--advertise", "http://127.0.0.1:1"]);
    let flags = ["--secret-file", secret.to_str().unwrap()];
    let stranger = cluster.start_listening_on("127.0.0.1:0", "stranger", &flags);
    let elsewhere = format!("http://{}", cluster.c.address());
    let flags = ["--advertise", elsewhere.as_str()];
    let mistaken = cluster.start_listening_on("127.0.0.1:0", "mistaken", &flags);
    let (on_all, nowhere, stranger, mistaken) = tokio::join!(on_all, nowhere, stranger, mistaken);
    let sockets = (
        on_all.socket("alice").await,
        nowhere.socket("alice").await,
        stranger.socket("alice").await,
        mistaken.socket("alice").await,
    );
    let names = ["all", "nowhere", "stranger", "mistaken"];
    let why = [
        "leads to no other node: start it with --advertise",
        "127.0.0.1:1 can't be reached",
        "does not accept the internal secret",
        "does not accept the internal secret",
    ];
    // Who was asked while the machine was busy did not answer, for once.
    wait_until("each says why", async || {
        let explain = explained(&cluster.a, "alice", &names).await;
        assert_eq!(connections(&explain), [], "{explain:?}");
        let is_said = |(name, part): (&str, &str)| {
            error_of(&explain, name).is_some_and(|(error, count)| count == 1 && error.contains(part))
        };
        names.into_iter().zip(why).all(is_said).then_some(())
    })
    .await;
    wait_until("doctor names the nodes that do not answer", async || {
        let doctor = run(&cluster.a, &["doctor"]).await;
        assert_eq!(doctor.code, 1, "{doctor:?}");
        let parts = [
            "not the same internal secret as a on stranger:",
            "nowhere: 127.0.0.1:1 can't be reached",
            "give all nodes the same --secret-file",
        ];
        parts.iter().all(|part| doctor.out.contains(part)).then_some(())
    })
    .await;
    drop(sockets);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_a_node_tells_nobody_its_sessions() {
    let cluster = Cluster::start(&[]).await;
    let _alice = cluster.a.socket("alice").await;
    let rest = cluster.a.rest();
    let path = "/api/presence/alice/explain?scope=node";
    for (token, code) in [("", 403), ("00", 403), (&*"0".repeat(64), 403)] {
        let request = rest.request(Method::GET, path).header("x-node-token", token);
        let answer = presence_tests::rest::send(request).await;
        assert_eq!(answer.status, code, "{token:?}: {}", answer.body);
    }
    let other = rest
        .request(Method::GET, "/api/presence/alice")
        .header("x-node-token", "0");
    assert_eq!(presence_tests::rest::send(other).await.status, 401);
    let unknown = rest.internal(Method::GET, "/api/presence/alice/explain?scope=all");
    presence_tests::rest::send(unknown).await.rejected(400, "invalid_value");
}
