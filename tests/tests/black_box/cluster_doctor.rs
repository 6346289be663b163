//! What a daemon and `presencectl doctor` say of a Redis and a PostgreSQL that are set up in a way that a cluster can't rely on.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use presence_tests::cluster::Cluster;
use presence_tests::presencectl::{CommandOutput, run};
use presence_tests::redis_server::RedisServer;
use presence_tests::{Daemon, wait_until};
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

async fn daemon_on(redis: &RedisServer) -> Daemon {
    Daemon::start(&["--redis", &redis.url(0), "--node-name", "a"]).await
}

/// The check with this name as `doctor -o json` has it, once there is one with this result.
async fn check(daemon: &Daemon, name: &str, result: &str) -> Value {
    wait_until(&format!("{name} is {result}"), async || {
        let document = run(daemon, &["doctor", "-o", "json"]).await.json();
        let checks = document["checks"].as_array().unwrap();
        let is_it = |check: &&Value| check["name"] == name && check["result"] == result;
        checks.iter().find(is_it).cloned()
    })
    .await
}

async fn warnings(daemon: &Daemon) -> String {
    let answer = daemon.rest().get("/readyz").await;
    assert_eq!(
        (answer.status, &answer.body["ok"]),
        (200, &Value::Bool(true)),
        "{}",
        answer.body
    );
    answer.body["warnings"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicting_policy_is_named_by_doctor_readyz_and_log() {
    let redis = RedisServer::start(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]);
    let daemon = daemon_on(&redis).await;
    let found = check(&daemon, "eviction", "fail").await;
    assert!(found["found"].as_str().unwrap().contains("allkeys-lru"), "{found}");
    assert!(found["fix"].as_str().unwrap().contains("noeviction"), "{found}");
    assert_eq!(run(&daemon, &["doctor"]).await.code, 1);
    let warnings = warnings(&daemon).await;
    assert!(warnings.contains("allkeys-lru"), "{warnings}");
    let logged = || daemon.log().matches("removes keys when its memory is full").count();
    wait_until("the log says so", async || (logged() > 0).then_some(())).await;

    redis.command(0, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let CommandOutput { out, .. } = wait_until("the policy is right", async || {
        let output = run(&daemon, &["doctor"]).await;
        // A look at Redis that fails says nothing of the policy, and is a failure itself.
        (output.code == 0 && !output.out.contains("eviction")).then_some(output)
    })
    .await;
    assert_eq!(logged(), 1, "once, at several looks: {}", daemon.log());
    assert!(out.contains("of 64 MiB used, keeps nothing on disk"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_nearly_full_is_said_by_doctor_and_readyz() {
    let redis = RedisServer::start(&[]);
    let daemon = daemon_on(&redis).await;
    let used = redis.command(0, &["INFO", "memory"]);
    let used = used.lines().find_map(|line| line.strip_prefix("used_memory:"));
    let used: u64 = used.unwrap().trim().parse().unwrap();
    redis.command(0, &["CONFIG", "SET", "maxmemory", &(used * 10 / 9).to_string()]);
    check(&daemon, "redis-memory", "warn").await;
    let warnings = warnings(&daemon).await;
    assert!(warnings.contains("% of its maxmemory"), "{warnings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_gone_is_named_and_the_daemon_stays_ready() {
    let redis = RedisServer::start(&[]);
    let daemon = daemon_on(&redis).await;
    let before = check(&daemon, "redis", "ok").await;
    redis.kill();
    let gone = check(&daemon, "redis", "fail").await;
    let found = gone["found"].as_str().unwrap();
    let address = before["found"].as_str().unwrap().split(' ').next().unwrap();
    assert!(
        found.starts_with(address) && found.contains("can't be reached"),
        "{gone}"
    );
    wait_until("partitions are lost", async || {
        let warnings = warnings(&daemon).await;
        warnings.contains("Redis can't be reached").then_some(())
    })
    .await;
    let metrics = daemon.rest().metrics().await;
    let line = format!("presenced_redis_reachable{{server=\"{address}\"}} 0");
    assert!(metrics.contains(&line), "{metrics}");
    redis.start_again();
    check(&daemon, "redis", "ok").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_config_is_a_note_and_no_error() {
    let redis = RedisServer::start(&[]);
    redis.command(0, &["ACL", "SETUSER", "default", "-config"]);
    let daemon = daemon_on(&redis).await;
    let note = check(&daemon, "redis", "note").await;
    assert!(note["found"].as_str().unwrap().contains("call CONFIG"), "{note}");
    assert_eq!(run(&daemon, &["doctor"]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_and_stats_see_nodes_redis_and_postgres_of_a_cluster() {
    let cluster = Cluster::start(&[]).await;
    let nodes = check(&cluster.b, "nodes", "ok").await;
    let found = nodes["found"].as_str().unwrap();
    assert!(found.starts_with("3 nodes of version"), "{found}");
    check(&cluster.b, "redis", "ok").await;
    // The server of the tests writes without syncing.
    let postgres = check(&cluster.b, "postgres", "fail").await;
    assert!(postgres["found"].as_str().unwrap().contains("fsync"), "{postgres}");
    let metrics = cluster.b.rest().metrics().await;
    for line in [
        "presenced_nodes 3",
        "presenced_node_lag_seconds{node=\"c\"}",
        "presenced_node_last_tick_seconds{node=\"a\"}",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let stats = cluster.b.rest().stats().await;
    let server = stats.store.server.expect("a server");
    assert!(
        server.version.contains('.') && server.fsync == Some(false),
        "{server:?}"
    );
    assert_eq!(stats.cluster.expect("a cluster").redis.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_nodes_that_accept_other_tokens() {
    let cluster = Cluster::start(&[]).await;
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key");
    std::fs::write(&key, "a key that no other node has").unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let start = async |name, flags: [&str; 2]| cluster.start_listening_on("127.0.0.1:0", name, &flags).await;
    let _nodes = tokio::join!(
        start("keyed", ["--jwt-key", key.to_str().unwrap()]),
        start("issued", ["--jwt-issuer", "https://login.example.org"]),
        start("alike", ["--drain-rate", "7"]),
    );
    wait_until("all answer and two of them differ", async || {
        let document = run(&cluster.a, &["doctor", "-o", "json"]).await.json();
        let checks = document["checks"].as_array().unwrap();
        let found = |name: &str| checks.iter().find(|check| check["name"] == name);
        let tokens = found("tokens").filter(|_| found("address").is_none() && found("secrets").is_none())?;
        let expected = "not the same tokens of users are accepted on issued, keyed as on a";
        (tokens["found"] == expected && tokens["result"] == "warn").then_some(())
    })
    .await;
}

/// Answers one request as a node of an older version does that listens on loopback and advertises another name.
async fn misdirect(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let answer = "HTTP/1.1 421 Misdirected Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(answer.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_answers_421_is_not_said_to_have_another_secret() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let advertised = format!("http://{}", listener.local_addr().unwrap());
    let older = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = misdirect(stream).await;
        }
    });
    let cluster = Cluster::start(&[]).await;
    let flags = ["--advertise", advertised.as_str()];
    let node = cluster.start_listening_on("127.0.0.1:0", "older", &flags).await;
    // More often than it is asked.
    for number in 0..10 {
        let code = wait_until("it has answered", async || {
            let rest = cluster.a.rest();
            let answer = presence_tests::rest::send(rest.internal(Method::GET, "/api/nodes?ask=true")).await;
            let mut nodes = answer.body["nodes"].as_array().unwrap().iter();
            let code = nodes.find(|node| node["name"] == "older")?["errorCode"].as_str()?;
            (code != "timeout").then(|| code.to_owned())
        });
        assert_eq!(code.await, "not_accepted", "{number}");
    }
    let doctor = run(&cluster.a, &["doctor"]).await;
    assert!(
        doctor
            .out
            .contains("older did not accept what a asked (421): of an older version"),
        "{}",
        doctor.out
    );
    assert!(!doctor.out.contains("not the same internal secret"), "{}", doctor.out);
    drop(node);
    older.abort();
}
