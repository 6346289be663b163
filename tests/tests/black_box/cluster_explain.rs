//! What `explain` says of sessions on other nodes: each of them, or why not.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use presence::wire::rest::Explain;
use presence::{Activity, Status};
use presence_tests::cluster::Cluster;
use presence_tests::ports::free_port;
use presence_tests::presencectl::run;
use presence_tests::wait::{timed, wait_for};
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
    write_secret(&secret, "a secret of its own");
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

fn write_secret(path: &Path, secret: &str) {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    writeln!(file.unwrap(), "{secret}").unwrap();
}

/// What the node tells of another one that it asks, if that is wrong and not a matter of a busy machine.
async fn code_of(asked: &Daemon, name: &str) -> Option<String> {
    let rest = asked.rest();
    let nodes = presence_tests::rest::send(rest.internal(Method::GET, "/api/nodes?ask=true")).await;
    let mut nodes = nodes.body["nodes"].as_array().unwrap().iter();
    let code = nodes.find(|node| node["name"] == name)?["errorCode"].as_str()?;
    (code != "timeout").then(|| code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_secret_is_named_and_locks_nobody_out() {
    let cluster = Cluster::start(&[]).await;
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    write_secret(&secret, "a secret of its own");
    // Loopback is no proxy, so its failed logins are limited.
    let flags = [
        "--secret-file",
        secret.to_str().unwrap(),
        "--trusted-proxy",
        "192.0.2.1",
    ];
    let stranger = cluster.start_listening_on("127.0.0.1:0", "stranger", &flags).await;
    for number in 0..15 {
        let asked = wait_until("it is asked", async || code_of(&cluster.a, "stranger").await);
        assert_eq!(asked.await, "other_secret", "{number}");
    }
    let own = async || {
        let request = stranger.rest().request(Method::GET, "/api/presence/alice");
        let request = request.header("x-secret-token", "a secret of its own");
        presence_tests::rest::send(request).await.status
    };
    assert_eq!(own().await, 200, "nobody is locked out by that");
    for _ in 0..15 {
        let path = "/api/presence/alice/explain?scope=node";
        let foreign = stranger
            .rest()
            .request(Method::GET, path)
            .header("host", "evil.example");
        let guess = presence_tests::rest::send(foreign.header("x-node-token", "0"));
        guess.await.rejected(421, "misdirected_request");
    }
    assert_eq!(own().await, 429, "guesses are counted");
}

/// A node that refused is not asked again for a minute but by operators.
const SOONER: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn a_mended_secret_is_noticed_at_once() {
    let cluster = Cluster::start(&[]).await;
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    write_secret(&secret, "a secret of its own");
    let flags = ["--secret-file", secret.to_str().unwrap()];
    let stranger = cluster.start_listening_on("127.0.0.1:0", "stranger", &flags).await;
    let there = stranger.socket("alice").await;
    wait_until("it refuses", async || {
        let explain = explained(&cluster.a, "alice", &["stranger"]).await;
        error_of(&explain, "stranger").filter(|(error, _)| error.contains("does not accept"))
    })
    .await;
    write_secret(&secret, &cluster.a.secret());
    stranger.process().hang_up();
    wait_for("doctor finds nothing wrong", SOONER, async || {
        let doctor = run(&cluster.a, &["doctor"]).await;
        (!doctor.out.contains("stranger")).then_some(())
    })
    .await;
    wait_for("its session is listed", SOONER, async || {
        let explain = explained(&cluster.a, "alice", &["stranger"]).await;
        (connections(&explain) == [("stranger", &*there.session)]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_a_node_tells_nobody_its_sessions() {
    let cluster = Cluster::start(&[]).await;
    let _alice = cluster.a.socket("alice").await;
    let (rest, path) = (cluster.a.rest(), "/api/presence/alice/explain?scope=node");
    for (token, code) in [("", 403), ("00", 403), (&*"0".repeat(64), 403)] {
        let request = rest.request(Method::GET, path).header("x-node-token", token);
        let answer = presence_tests::rest::send(request).await;
        assert_eq!(answer.status, code, "{token:?}: {}", answer.body);
    }
    let foreign = rest.request(Method::GET, path).header("host", "evil.example");
    let foreign = presence_tests::rest::send(foreign.header("x-node-token", "0"));
    foreign.await.rejected(421, "misdirected_request");
    let other = rest
        .request(Method::GET, "/api/presence/alice")
        .header("x-node-token", "0");
    assert_eq!(presence_tests::rest::send(other).await.status, 401);
    let unknown = rest.internal(Method::GET, "/api/presence/alice/explain?scope=all");
    presence_tests::rest::send(unknown).await.rejected(400, "invalid_value");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_asked_by_the_name_that_it_advertises() {
    let cluster = Cluster::start(&[]).await;
    // Another spelling of the address that it listens on, which is no `Host` of its own.
    let port = free_port();
    let advertised = format!("http://127.1:{port}");
    let listens = format!("127.0.0.1:{port}");
    let flags = ["--advertise", advertised.as_str()];
    let named = cluster.start_listening_on(&listens, "named", &flags).await;
    let there = named.socket("alice").await;
    wait_until("its session is listed", async || {
        let explain = explained(&cluster.a, "alice", &["named"]).await;
        (connections(&explain) == [("named", &*there.session)]).then_some(())
    })
    .await;
    wait_until("it answers", async || {
        let rest = cluster.a.rest();
        let nodes = presence_tests::rest::send(rest.internal(Method::GET, "/api/nodes?ask=true")).await;
        let answers = |node: &serde_json::Value| node["name"] == "named" && node.get("error").is_none();
        nodes.body["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .any(answers)
            .then_some(())
    })
    .await;
}
