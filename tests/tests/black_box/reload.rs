//! SIGHUP: secrets, keys, limits and the log level are reloaded as a whole, and neither the daemon nor a connection ends.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use presence::Status;
use presence::wire::rest::ReloadStats;
use presence_tests::daemon::Setup;
use presence_tests::jwt::{claims, hs256};
use presence_tests::rest::send;
use presence_tests::wait::wait_until;
use presence_tests::websocket::{ConnectionEnd, HandshakeError, HandshakeHeaders, Socket, shows};
use presence_tests::{Daemon, Rest};
use reqwest::Method;
use serde_json::json;

const NEW_SECRET: &str = "a new secret of the daemon";
const NEW_KEY: &str = "a new key of users' tokens";

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Sends SIGHUP and waits for the outcome, read with this secret.
async fn reload(daemon: &Daemon, rest: &Rest) -> ReloadStats {
    let last = async || rest.try_stats().await.and_then(|stats| stats.reload);
    let before = last().await.map(|reload| reload.at);
    daemon.process().hang_up();
    wait_until("the daemon reloads", async || {
        last().await.filter(|reload| Some(reload.at) != before)
    })
    .await
}

/// A daemon whose configuration file holds this, and the path of the file.
async fn start_with(configuration: &str) -> (Daemon, PathBuf) {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let path = home.path().join("presenced.toml");
    std::fs::write(&path, configuration).unwrap();
    let daemon = Setup::new(&["--config", path.to_str().unwrap()]).start_in(home).await;
    (daemon, path)
}

async fn status_of(rest: &Rest) -> u16 {
    send(rest.internal(Method::GET, "/api/stats")).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_is_valid_beside_the_old_one_until_that_is_removed() {
    let daemon = Setup::new(&["--ping-interval", "3s", "--ping-timeout", "2s"])
        .start()
        .await;
    let old = daemon.rest();
    let new = Rest::new(daemon.address(), NEW_SECRET.into());
    let mut observer = daemon.observer().await;
    let alice = daemon.socket("alice").await;
    assert_eq!(status_of(&new).await, 403);
    write_private(&daemon.file("secret"), &format!("{}\n{NEW_SECRET}\n", daemon.secret()));
    let reloaded = reload(&daemon, &old).await;
    assert_eq!((reloaded.error, reloaded.restart_needed), (None, Vec::new()));
    assert_eq!((status_of(&old).await, status_of(&new).await), (200, 200));
    write_private(&daemon.file("secret"), NEW_SECRET);
    assert_eq!(reload(&daemon, &new).await.error, None);
    assert_eq!((status_of(&old).await, status_of(&new).await), (403, 200));
    wait_until("the log has how many connections end", async || {
        daemon.log().contains("they end within a ping interval").then_some(())
    })
    .await;
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("they end within")).unwrap();
    assert!(line.contains("connections=1"), "the observer alone: {line}");
    assert_eq!(observer.goodbye().await, (4001, "expired".into(), Some(0)));
    assert_eq!(
        new.record("alice").await.status,
        Status::Online,
        "a connection without the secret stays"
    );
    assert_eq!(new.explain("alice").await.sessions[0].session_id, alice.session);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_token_key_ends_the_connections_of_its_tokens_alone() {
    let daemon = Setup::new(&["--ping-interval", "3s", "--ping-timeout", "2s"])
        .start()
        .await;
    let rest = daemon.rest();
    let old_token = hs256(&daemon.jwt_key(), &claims("alice", 3_600));
    let mut alice = Socket::connect(daemon.address(), HandshakeHeaders::bearer(&old_token))
        .await
        .unwrap();
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice"]).await;
    write_private(&daemon.file("jwt-key"), NEW_KEY);
    assert_eq!(reload(&daemon, &rest).await.error, None);
    assert_eq!(alice.goodbye().await, (4001, "expired".into(), Some(0)));
    let new_token = hs256(NEW_KEY, &claims("alice", 3_600));
    let _alice = Socket::connect(daemon.address(), HandshakeHeaders::bearer(&new_token))
        .await
        .unwrap();
    let marker = async { rest.set_custom_status("bob", "IDLE").await.ok() };
    assert_eq!(
        bob.updates_before("bob", marker).await,
        [],
        "a reconnect within the grace period is no event"
    );
    let refused = Socket::connect(daemon.address(), HandshakeHeaders::bearer(&old_token)).await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_bad_or_missing_changes_nothing_and_is_shown() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let (secret, key) = (daemon.file("secret"), daemon.file("jwt-key"));
    let (secret_text, key_text) = (daemon.secret(), daemon.jwt_key());
    let alice = daemon.socket("alice").await;
    let cases: [(&Path, &dyn Fn()); 6] = [
        (&secret, &|| write_private(&secret, "short")),
        (&secret, &|| std::fs::remove_file(&secret).unwrap()),
        (&secret, &|| {
            std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
        }),
        (&key, &|| {
            write_private(&key, "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n");
        }),
        (&key, &|| std::fs::remove_file(&key).unwrap()),
        (&key, &|| write_private(&key, &"x".repeat(70_000))),
    ];
    for (named, spoil) in cases {
        // The other file is new, and must not be taken over without the bad one.
        write_private(&secret, &format!("{secret_text}\n{NEW_SECRET}\n"));
        write_private(&key, NEW_KEY);
        spoil();
        let error = reload(&daemon, &rest).await.error.unwrap();
        assert!(error.contains(named.to_str().unwrap()), "{error}");
        wait_until("the failure is logged", async || {
            daemon.log().contains(&error.replace('"', "\\\"")).then_some(())
        })
        .await;
        assert_eq!(
            status_of(&Rest::new(daemon.address(), NEW_SECRET.into())).await,
            403,
            "{error}"
        );
        let token = hs256(&key_text, &claims("bob", 60));
        assert!(
            Socket::connect(daemon.address(), HandshakeHeaders::bearer(&token))
                .await
                .is_ok(),
            "{error}"
        );
        let ready = rest.get("/readyz").await;
        assert_eq!(ready.status, 200, "as ready as before");
        assert!(
            ready.body["warnings"].to_string().contains("the last reload failed"),
            "{}",
            ready.body
        );
    }
    let metrics = rest.metrics().await;
    assert!(
        metrics.contains(r#"presenced_reloads_total{outcome="failed"} 6"#),
        "{metrics}"
    );
    write_private(&secret, &secret_text);
    write_private(&key, &key_text);
    assert_eq!(reload(&daemon, &rest).await.error, None);
    assert!(!rest.get("/readyz").await.body.to_string().contains("reload"));
    assert_eq!(rest.explain("alice").await.sessions[0].session_id, alice.session);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_is_reloaded_and_other_settings_are_named() {
    let (daemon, path) = start_with("log-level = \"warn\"\ngrace = \"4s\"\n").await;
    let rest = daemon.rest();
    daemon.socket("quiet").await.close(None).await;
    std::fs::write(&path, "log-level = \"debug\"\ngrace = \"3s\"\n").unwrap();
    let reloaded = reload(&daemon, &rest).await;
    assert_eq!(
        (reloaded.error, reloaded.restart_needed),
        (None, vec!["grace".to_owned()])
    );
    daemon.socket("loud").await.close(None).await;
    wait_until("a line of the level debug", async || {
        daemon.log().contains("a connection ended").then_some(())
    })
    .await;
    assert_eq!(daemon.log().matches("a connection ended").count(), 1);
    std::fs::write(&path, "log-level = \"loud\"\n").unwrap();
    let error = reload(&daemon, &rest).await.error.unwrap();
    assert!(
        error.contains("log-level") && error.contains("presenced.toml:1"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lower_limits_end_no_connection_and_hold_for_what_comes() {
    let (daemon, path) = start_with("sessions-per-user = 3\n").await;
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    let rest = daemon.rest();
    let mut observer = daemon.observer().await;
    observer.snapshot(json!({"type": "watchAll"})).await;
    let mut alice = daemon.socket("alice").await;
    let _second = daemon.socket("alice").await;
    let bob = daemon.socket("bob").await;
    // Longer than the limit that comes.
    let many: Vec<String> = (0..40).map(|number| format!("{number:0>64}")).collect();
    alice.watch(&many).await;
    write(
        "sessions-per-user = 1\nmax-message = \"1KiB\"\nmax-connections = 70\nwatched-per-connection = 30\n\
         lookups-burst = 50\nchoices-per-10s = 1\nmax-body = \"64\"\n",
    );
    let outcome: ReloadStats = send(rest.internal(Method::POST, "/api/reload")).await.ok();
    assert_eq!((outcome.error, outcome.restart_needed), (None, Vec::new()));
    assert_eq!(outcome.changed.len(), 7, "{:?}", outcome.changed);
    // Those of before are there, more than now may be.
    assert_eq!(rest.record("alice").await.status, Status::Online);
    assert_eq!(rest.explain("alice").await.sessions.len(), 2);
    let refused = Socket::connect(daemon.address(), HandshakeHeaders::user("alice")).await;
    assert_eq!(refused.err(), Some(HandshakeError::Closed(4029)));
    alice.set_custom_status("IDLE").await;
    let limited = alice
        .ask(json!({"type": "setStatus", "customStatus": "DO_NOT_DISTURB"}))
        .await;
    assert!(format!("{limited:?}").contains("RateLimited"), "{limited:?}");
    let limited = alice.ask(json!({"type": "watch", "userIds": ["carol"]})).await;
    assert!(format!("{limited:?}").contains("at most 30 users"), "{limited:?}");
    let body = json!({"status": "ONLINE", "source": "x".repeat(80)});
    rest.report("carol", body).await.rejected(413, "too_large");
    let limits = &rest.get("/openapi.json").await.body["info"]["x-limits"];
    assert_eq!(
        (&limits["messageBytes"], &limits["connectionsPerUser"]),
        (&json!(1_024), &json!(1))
    );
    assert_eq!(rest.stats().await.limits.max_connections, 70);
    assert!(rest.metrics().await.contains("presenced_http_connections_max 70\n"));
    alice.send_text("x".repeat(2_000));
    assert!(matches!(alice.ended().await, ConnectionEnd::Closed(1009, _)));
    write("");
    let outcome: ReloadStats = send(rest.internal(Method::POST, "/api/reload")).await.ok();
    assert_eq!(outcome.changed.len(), 7, "as without a file: {:?}", outcome.changed);
    // More than at the start, where a cluster counts too.
    let others = [daemon.socket("alice").await, daemon.socket("alice").await];
    let mut last = daemon.socket("alice").await;
    last.set_custom_status("IDLE").await;
    assert_eq!(rest.explain("alice").await.sessions.len(), 2 + others.len());
    assert_eq!(rest.explain("bob").await.sessions[0].session_id, bob.session);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_a_lower_limit_stay_until_they_end() {
    let (daemon, path) = start_with("").await;
    let rest = daemon.rest();
    let mut observer = daemon.observer().await;
    observer.snapshot(json!({"type": "watchAll"})).await;
    let mut alice = daemon.socket("alice").await;
    let bob = daemon.socket("bob").await;
    std::fs::write(&path, "max-connections = 2\n").unwrap();
    reload(&daemon, &rest).await;
    let connect = async || Socket::connect(daemon.address(), HandshakeHeaders::user("carol")).await;
    let refused = connect().await.err();
    assert_eq!(refused, Some(HandshakeError::Http(503, "at_capacity".into())));
    alice.set_custom_status("IDLE").await;
    bob.close(None).await;
    let updates = observer.updates_until("bob leaves", |update| shows(update, "bob", Status::Offline));
    let told = updates.await;
    assert!(
        told.iter().all(|update| !shows(update, "alice", Status::Offline)),
        "{told:?}"
    );
    assert!(connect().await.is_err(), "two are open");
    std::fs::write(&path, "").unwrap();
    daemon.process().hang_up();
    wait_until("there is room again", async || connect().await.ok()).await;
    assert_eq!(rest.explain("alice").await.sessions[0].session_id, alice.session);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_stops_a_daemon_that_was_told_to_reload() {
    let mut daemon = Daemon::start(&[]).await;
    daemon.process().hang_up();
    daemon.process().hang_up();
    assert!(daemon.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_over_rest_says_what_changed_or_why_nothing_did() {
    let (daemon, path) = start_with("log-level = \"warn\"\n").await;
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    let rest = daemon.rest();
    let reload = async || send(rest.internal(Method::POST, "/api/reload")).await;
    let outcome: ReloadStats = reload().await.ok();
    assert_eq!((outcome.error, outcome.changed), (None, Vec::new()));
    write("log-level = \"info\"\ngrace = \"4s\"\njwt-issuer = \"login\"\n");
    write_private(&daemon.file("secret"), &format!("{}\n{NEW_SECRET}\n", daemon.secret()));
    write_private(&daemon.file("jwt-key"), NEW_KEY);
    let outcome: ReloadStats = reload().await.ok();
    assert_eq!(outcome.changed, ["jwt-issuer", "log-level", "secret", "jwt-key"]);
    assert_eq!(outcome.restart_needed, ["grace"]);
    wait_until("the log says so too", async || {
        daemon
            .log()
            .contains("jwt-issuer, log-level, secret, jwt-key")
            .then_some(())
    })
    .await;
    assert_eq!(rest.try_stats().await.unwrap().reload.unwrap().changed, outcome.changed);
    write("log-level = \"loud\"\n");
    let answer = reload().await;
    answer.rejected(409, "reload_failed");
    assert!(answer.body.to_string().contains("log-level"), "{}", answer.body);
    let error = rest.try_stats().await.unwrap().reload.unwrap().error.unwrap();
    assert!(error.contains("log-level"), "{error}");
    let user = send(rest.request(Method::POST, "/api/reload").header("x-user-id", "alice")).await;
    user.rejected(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_asked_for_at_once_are_done_one_after_the_other() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let asked = (0..40).map(|_| send(rest.internal(Method::POST, "/api/reload")));
    for answer in futures_util::future::join_all(asked).await {
        let outcome: ReloadStats = answer.ok();
        assert_eq!(outcome.error, None);
    }
    let metrics = rest.metrics().await;
    assert!(
        metrics.contains("presenced_reloads_total{outcome=\"ok\"} 40"),
        "{metrics}"
    );
}
