//! `x-request-id`: of a request in its response, in errors, in the log and at other nodes.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use presence_tests::cluster::Cluster;
use presence_tests::presencectl::run;
use presence_tests::rest::{Answer, send};
use presence_tests::{Daemon, RawClient, Rest, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

const ID: &str = "01J9Z3-client/7:{\"x\"}\\";

async fn get_with_id(rest: &Rest, path: &str, id: &str) -> Answer {
    send(rest.internal(Method::GET, path).header("x-request-id", id)).await
}

/// The lines of the log that have this id, once there is one.
async fn lines_of(daemon: &Daemon, id: &str) -> Vec<String> {
    wait_until("the log has the id", async || {
        let log = daemon.log();
        let lines: Vec<String> = log
            .lines()
            .filter(|line| line.contains(id))
            .map(str::to_owned)
            .collect();
        (!lines.is_empty()).then_some(lines)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_has_the_id_of_its_request() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    for path in [
        "/api/stats",
        "/api/presence/alice",
        "/api/presence",
        "/readyz",
        "/metrics",
        "/nowhere",
        "/openapi.json",
    ] {
        assert_eq!(
            get_with_id(&rest, path, ID).await.header("x-request-id"),
            Some(ID),
            "{path}"
        );
    }
    for (path, code) in [("/nowhere", "not_found"), ("/api/presence/%00", "invalid_user_id")] {
        let answer = get_with_id(&rest, path, ID).await;
        assert_eq!((answer.code(), &answer.body["requestId"]), (code, &json!(ID)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_invalid_id_is_replaced() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let mut made = Vec::new();
    for path in ["/api/stats", "/healthz", "/nowhere", "/api/presence/%00"] {
        let answer = send(rest.internal(Method::GET, path)).await;
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert!(
            answer.status == 200 || answer.body["requestId"] == *id,
            "{path}: {}",
            answer.body
        );
        made.push(id);
    }
    let too_long = "x".repeat(129);
    for invalid in ["", "two words", "caf\u{e9}", &too_long] {
        let answer = get_with_id(&rest, "/api/stats", invalid).await;
        let id = answer.header("x-request-id").unwrap();
        assert_ne!(id, invalid);
        made.push(id.to_owned());
    }
    let count = made.len();
    made.sort();
    made.dedup();
    assert_eq!(made.len(), count, "{made:?}");
    let lookup = send(rest.internal(Method::GET, "/api/presence/alice")).await;
    assert_eq!(
        (lookup.status, lookup.header("x-request-id")),
        (200, None),
        "a lookup costs what it did"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_has_the_id_whether_it_is_refused_or_not() {
    let daemon = Daemon::start(&["--max-connections", "40", "--handshake-timeout", "60s"]).await;
    for (user, status) in [("alice", 101), ("", 401)] {
        let mut raw = RawClient::connect(daemon.address()).await;
        let response = raw.upgrade("/ws", &[("x-user-id", user), ("x-request-id", ID)]).await;
        assert_eq!(
            (response.status, response.header("x-request-id")),
            (status, Some(ID)),
            "{}",
            response.head
        );
        let mut unnamed = RawClient::connect(daemon.address()).await;
        let response = unnamed.upgrade("/ws", &[("x-user-id", user)]).await;
        let id = response.header("x-request-id").unwrap_or_default().to_owned();
        assert!(!id.is_empty(), "{}", response.head);
        let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
        assert_eq!(body["requestId"].as_str(), (status != 101).then_some(&*id), "{body}");
    }
    // Refused before the request is read. Those that say nothing stay for as long as the test waits.
    let mut open = futures_util::future::join_all((0..40).map(|_| RawClient::connect(daemon.address()))).await;
    let refused = wait_until("the daemon is full", async || {
        open.push(RawClient::connect(daemon.address()).await);
        let mut one_more = RawClient::connect(daemon.address()).await;
        let response = one_more.upgrade("/ws", &[("x-user-id", "alice")]).await;
        (response.status == 503).then_some(response)
    })
    .await;
    let body: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(body["requestId"].as_str(), refused.header("x-request-id"), "{body}");
    assert!(body["requestId"].is_string(), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_that_a_request_causes_has_its_id_escaped() {
    let text = Daemon::start(&[]).await;
    text.rest().kick("bystander").await;
    let kick = text
        .rest()
        .internal(Method::DELETE, "/api/presence/alice/sessions")
        .header("x-request-id", ID);
    send(kick).await.ok::<Value>();
    let lines = lines_of(&text, "alice").await;
    assert!(
        lines.iter().all(|line| line.ends_with(&format!(" request_id={ID:?}"))),
        "{lines:#?}"
    );
    let of_bystander = lines_of(&text, "bystander").await;
    assert!(
        of_bystander
            .iter()
            .all(|line| line.contains(" request_id=\"") && !line.contains("01J9Z3")),
        "{of_bystander:#?}"
    );

    let json = Daemon::start(&["--log-format", "json", "--log-level", "debug"]).await;
    get_with_id(&json.rest(), "/api/stats", ID).await;
    let forget = json
        .rest()
        .internal(Method::DELETE, "/api/user/alice")
        .header("x-request-id", ID);
    send(forget).await.ok::<Value>();
    let reload = json
        .rest()
        .internal(Method::POST, "/api/reload")
        .header("x-request-id", ID);
    send(reload).await.ok::<Value>();
    for part in ["/api/stats", "forgot a user", "reloaded the secrets"] {
        for line in lines_of(&json, part).await {
            let entry: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!(entry["request_id"], ID, "{line}");
        }
    }
    let started = lines_of(&json, "accepting").await;
    assert!(!started[0].contains("request_id"), "{started:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_nodes_log_the_id_of_the_request_that_they_are_asked_for() {
    let cluster = Cluster::start(&["--log-level", "debug"]).await;
    let _alice = cluster.b.socket("alice").await;
    Cluster::agree(&cluster.nodes(), "alice", presence::Status::Online).await;
    let has_id = |node: &Daemon| {
        let id = format!("request_id={ID:?}");
        let log = node.log();
        log.lines().any(|line| line.contains(&id) && line.contains("explain"))
    };
    wait_until("both nodes log the id", async || {
        // Again: a node does not wait for another one that is slow.
        get_with_id(&cluster.a.rest(), "/api/presence/alice/explain", ID).await;
        (has_id(&cluster.a) && has_id(&cluster.b)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presencectl_prints_the_id_of_a_request_that_failed() {
    let daemon = Daemon::start(&[]).await;
    let other = daemon.home().path().join("other-secret");
    std::fs::write(&other, "the-secret-of-another-daemon").unwrap();
    std::fs::set_permissions(&other, Permissions::from_mode(0o600)).unwrap();
    let server = format!("http://{}", daemon.address());
    let options = ["--server", &server, "--secret-file", other.to_str().unwrap()];
    let output = run(&daemon, &[&options[..], &["stats"]].concat()).await;
    let answer = send(daemon.rest().internal(Method::GET, "/nowhere")).await;
    let process = answer
        .header("x-request-id")
        .unwrap()
        .split('-')
        .next()
        .unwrap()
        .to_owned();
    assert!(
        output.err.contains(&format!("(forbidden, request {process}-")),
        "{output:?}"
    );
}
