//! Stats, metrics, health and logs. No secret is logged, no user id is a metric label.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use presence_tests::binaries::repository;
use presence_tests::cluster::Cluster;
use presence_tests::jwt::{claims, hs256};
use presence_tests::ports::free_port;
use presence_tests::rest::send;
use presence_tests::websocket::HandshakeHeaders;
use presence_tests::{Daemon, RawClient, Socket, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::tls::TlsDaemon;

#[tokio::test(flavor = "multi_thread")]
async fn stats_count_sessions_users_and_watches() {
    let daemon = Daemon::start(&["--grace", "20s"]).await;
    let rest = daemon.rest();
    let (alice, mut bob) = (daemon.session("alice").await, daemon.session("bob").await);
    let mut operator = daemon.observer().await;
    bob.watch(&["alice", "carol", "dave"]).await;
    operator.watch(&["alice"]).await;
    daemon.logged(bob.set_custom_status("DO_NOT_DISTURB").await).await;
    let reported = rest.report("carol", json!({"status": "IDLE"})).await;
    daemon.logged(reported.ok()).await;
    let stats = rest.stats().await;
    assert_eq!(
        (stats.users.online, stats.users.idle, stats.users.do_not_disturb),
        (1, 1, 1)
    );
    let sessions = stats.sessions;
    assert_eq!((sessions.connections, sessions.observers, sessions.reports), (2, 1, 1));
    assert_eq!((sessions.watchers, sessions.watches, sessions.in_grace), (2, 4, 0));
    assert_eq!(stats.store.kind, daemon.store_kind());
    assert!(stats.store.writable && stats.limits.max_connections > 0 && !stats.version.is_empty());
    alice.reset();
    wait_until("grace is counted", async || {
        (rest.stats().await.sessions.in_grace == 1).then_some(())
    })
    .await;
    assert_eq!(rest.stats().await.sessions.connections, 1);
    rest.kick("alice").await;
    drop((bob, operator));
    wait_until("nothing is left", async || {
        let sessions = rest.stats().await.sessions;
        (sessions.observers == 0 && sessions.connections == 0 && sessions.watches == 0).then_some(())
    })
    .await;
}

/// The value of the first sample of a metric whose line contains these parts.
fn sample(metrics: &str, name: &str, parts: &[&str]) -> Option<f64> {
    let fits = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && parts.iter().all(|part| line.contains(part))
    };
    metrics.lines().find(fits)?.rsplit_once(' ')?.1.parse().ok()
}

/// The names of the metrics in a column of the document's table, without labels.
fn names(column: &str) -> impl Iterator<Item = &str> {
    let quoted = column.split('`').skip(1).step_by(2);
    quoted.map(|name| name.split('{').next().unwrap())
}

/// The metrics in `docs/operations.md`, and whether each is of the whole cluster.
fn documented() -> BTreeMap<String, bool> {
    let text = std::fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `presenced_"));
    let of_row = |row: &str| {
        let columns: Vec<&str> = row.split(" | ").collect();
        let is_of_cluster = match columns[2] {
            "cluster" => true,
            "node" => false,
            _ => panic!("{row}: of what?"),
        };
        let named: Vec<_> = names(columns[0]).map(|name| (name.to_owned(), is_of_cluster)).collect();
        named
    };
    rows.flat_map(of_row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_metric_is_documented_with_what_it_is_of() {
    let cluster = Cluster::start(&[]).await;
    let rest = cluster.a.rest();
    // There is something to tell of requests once there was one.
    rest.get("/healthz").await;
    // That of a certificate is there with TLS alone.
    let tls = TlsDaemon::start(&["--node-name", "alone"]).await;
    let metrics = rest.metrics().await + &tls.rest().metrics().await;
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exposed: BTreeSet<String> = types
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{}_total", name.trim_end_matches("_total")),
            (name, _) => name.to_owned(),
        })
        .collect();
    assert_eq!(exposed, documented().into_keys().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_the_cluster_are_the_same_on_all_nodes() {
    let cluster = Cluster::start(&["--grace", "25s"]).await;
    let [a, b, c] = cluster.nodes();
    let (mut alice, _bob, dora) = (a.socket("alice").await, b.socket("bob").await, a.socket("dora").await);
    let report = a.rest().report("carol", json!({"status": "IDLE"})).await;
    report.ok::<Value>();
    alice.set_custom_status("DO_NOT_DISTURB").await;
    Cluster::agree(&[a, b, c], "alice", presence::Status::DoNotDisturb).await;
    c.rest().forget("bob").await;
    dora.reset();
    let of_all = ["users", "reports", "nodes", "transitions_total"].map(|name| format!("presenced_{name}"));
    let changes = [
        ("OFFLINE", "ONLINE", "3"),
        ("OFFLINE", "IDLE", "1"),
        ("ONLINE", "DO_NOT_DISTURB", "1"),
        ("ONLINE", "OFFLINE", "1"),
    ];
    let counted = |metrics: &str| {
        let transitions = metrics
            .lines()
            .filter(|line| line.starts_with("presenced_transitions_total"));
        let some: Vec<&str> = transitions.filter(|line| !line.ends_with(" 0")).collect();
        let is_counted = |(from, to, count): &(&str, &str, &str)| {
            let labels = format!("{{from=\"{from}\",to=\"{to}\",");
            some.iter()
                .any(|line| line.contains(&labels) && line.ends_with(&format!(" {count}")))
        };
        some.len() == changes.len() && changes.iter().all(is_counted)
    };
    wait_until("all nodes tell the same of all, and each its own", async || {
        let told = [
            a.rest().metrics().await,
            b.rest().metrics().await,
            c.rest().metrics().await,
        ];
        let of = |name: &str| told.each_ref().map(|metrics| sample(metrics, name, &[]));
        let is_same = of_all.iter().all(|name| {
            let lines = told.each_ref().map(|metrics| {
                let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
                metrics.lines().filter(of_name).collect::<BTreeSet<_>>()
            });
            lines[0] == lines[1] && lines[1] == lines[2]
        });
        let is_own = of("presenced_sessions") == [Some(1.0), Some(0.0), Some(0.0)]
            && of("presenced_users_in_grace") == [Some(1.0), Some(0.0), Some(0.0)];
        let is_right = is_same && is_own && told.iter().all(|metrics| counted(metrics));
        is_right.then_some(())
    })
    .await;
    let of_cluster = documented();
    for name in &of_all {
        assert!(of_cluster[name], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_events_and_contain_no_user_id() {
    let daemon = Daemon::start(&["--grace", "0s"]).await;
    let mut bob = daemon.socket("bob-the-watcher").await;
    bob.watch(&["alice-the-user"]).await;
    let alice = daemon.socket("alice-the-user").await;
    bob.wait_for_status("alice-the-user", presence::Status::Online).await;
    alice.close(Some(1000)).await;
    bob.wait_for_status("alice-the-user", presence::Status::Offline).await;
    daemon
        .rest()
        .set_custom_status("alice-the-user", "IDLE")
        .await
        .ok::<Value>();
    let metrics = daemon.rest().metrics().await;
    for line in metrics
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        assert!(line.starts_with("presenced_"), "{line}");
        assert!(
            line.rsplit_once(' ')
                .is_some_and(|(_, value)| value.parse::<f64>().is_ok()),
            "{line}"
        );
    }
    for (word, secret) in [
        ("a user", "the-user"),
        ("a watcher", "the-watcher"),
        ("the secret", &daemon.secret()),
    ] {
        assert!(!metrics.contains(secret), "{word} is in the metrics");
    }
    for topic in [
        "session",
        "transition",
        "conflated",
        "lag",
        "commit",
        "stall",
        "refused",
        "fallback",
        "slow",
    ] {
        assert!(
            metrics
                .lines()
                .any(|line| line.starts_with("# HELP") && line.contains(topic)),
            "{topic}: {metrics}"
        );
    }
    let offline = metrics.lines().find(|line| {
        line.contains("transition") && line.contains("from=\"ONLINE\"") && line.contains("to=\"OFFLINE\"")
    });
    assert!(offline.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
    assert_eq!(sample(&metrics, "presenced_no_such_metric", &[]), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_may_have_a_port_of_their_own() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let daemon = Daemon::start(&["--metrics-listen", &address.to_string()]).await;
    send(daemon.rest().request(Method::GET, "/metrics"))
        .await
        .rejected(404, "not_found");
    let elsewhere = presence_tests::Rest::new(address, String::new());
    assert!(elsewhere.metrics().await.contains("presenced_"));
    assert_eq!(send(elsewhere.request(Method::GET, "/api/stats")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_logged() {
    let daemon = Daemon::start(&["--log-level", "trace"]).await;
    let (secret, key) = (daemon.secret(), daemon.jwt_key());
    let token = hs256(&key, &claims("alice", 3_600));
    let rest = daemon.rest();
    rest.set_custom_status_as_operator("alice", "IDLE").await.ok::<Value>();
    send(rest.request(Method::GET, "/api/presence/alice").bearer_auth(&token))
        .await
        .ok::<Value>();
    send(
        rest.request(Method::GET, "/api/presence/alice")
            .bearer_auth(format!("{token}x")),
    )
    .await
    .rejected(403, "forbidden");
    let wrong = format!("{secret}-but-wrong");
    send(rest.request(Method::GET, "/api/stats").header("x-secret-token", &wrong))
        .await
        .rejected(403, "forbidden");
    Socket::connect(daemon.address(), HandshakeHeaders::bearer(&token))
        .await
        .unwrap();
    Socket::connect(daemon.address(), HandshakeHeaders::observer(&secret))
        .await
        .unwrap();
    let offer = format!("presence.v1, bearer.{token}");
    RawClient::connect(daemon.address())
        .await
        .upgrade("/ws", &[("sec-websocket-protocol", &offer)])
        .await;
    RawClient::connect(daemon.address())
        .await
        .upgrade(&format!("/ws?secret={secret}"), &[("x-secret-token", &wrong)])
        .await;
    let signature = token.rsplit_once('.').unwrap().1;
    wait_until("something is logged", async || (!daemon.log().is_empty()).then_some(())).await;
    for (what, text) in [("secret", secret.as_str()), ("key", &key), ("token", signature)] {
        assert!(!daemon.log().contains(text), "the {what} is in the log");
    }
    let cmdline = std::fs::read_to_string(format!("/proc/{}/cmdline", daemon.process().id())).unwrap();
    assert!(!cmdline.contains(&secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_log_has_one_object_per_line() {
    let mut daemon = Daemon::start(&["--log-format", "json", "--log-level", "debug"]).await;
    for id in ["a\"b", "\u{202e}evil", "{\"level\":\"ERROR\"}"] {
        daemon.socket(id).await.close(Some(1000)).await;
    }
    daemon.terminate().await;
    let log = daemon.log();
    assert!(log.lines().count() > 0);
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry["level"].is_string(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_escaped_in_the_log() {
    let mut daemon = Daemon::start(&["--log-level", "trace"]).await;
    daemon.socket("\u{202e}evil").await.close(Some(1000)).await;
    let mut raw = RawClient::connect(daemon.address()).await;
    raw.send("GET /\u{1b}[31mred%1B%5B31m HTTP/1.1\r\nhost: \u{1b}[31m\r\nx-user-id: a\u{1b}[2Jb\r\n\r\n")
        .await;
    raw.response().await;
    daemon.terminate().await;
    let log = daemon.log();
    for part in ["\u{202e}", "\u{1b}[31m", "\u{1b}[2J"] {
        assert!(!log.contains(part), "{part:?} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn healthz_and_readyz_answer_200() {
    let daemon = Daemon::start(&[]).await;
    for path in ["/healthz", "/readyz"] {
        let answer = daemon.rest().get(path).await;
        assert_eq!((answer.status, &answer.body["ok"]), (200, &json!(true)), "{path}");
        assert_eq!(answer.body["problems"], json!([]), "{path}");
    }
}
