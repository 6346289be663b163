//! `presencectl` against a real daemon, with the commands of the README.

use std::process::Stdio;

use presence::Status;
use presence_tests::daemon::Setup;
use presence_tests::presencectl::{StreamingCommand, run};
use presence_tests::websocket::HandshakeHeaders;
use presence_tests::{Daemon, Socket, wait_until};
use serde_json::{Value, json};

async fn ok(daemon: &Daemon, args: &[&str]) -> String {
    let said = run(daemon, args).await;
    assert_eq!(said.code, 0, "{args:?} {said:?}");
    said.out
}

/// The objects of a JSON document that are about this user.
fn about<'a>(value: &'a Value, user: &str) -> Vec<&'a Value> {
    match value {
        Value::Array(items) => items.iter().flat_map(|item| about(item, user)).collect(),
        Value::Object(fields) if fields.get("userId").is_some_and(|id| id == user) => vec![value],
        Value::Object(fields) => fields.values().flat_map(|item| about(item, user)).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn set_status_changes_what_get_shows() {
    let daemon = Daemon::start(&[]).await;
    let said = ok(&daemon, &["set-status", "dnd", "--user", "alice"]).await;
    assert!(said.contains("OFFLINE"), "what others now see: {said}");
    let _alice = daemon.socket("alice").await;
    let said = ok(&daemon, &["set-status", "Idle", "--user", "alice"]).await;
    assert!(said.contains("IDLE"), "{said}");
    let table = ok(&daemon, &["get", "alice", "bob", "--ignore-unknown"]).await;
    assert!(table.contains("alice") && table.contains("IDLE"), "{table}");
    assert!(table.contains("bob") && table.contains("OFFLINE"), "{table}");
    assert!(!table.contains('\u{1b}'), "no colour but on a terminal");
    let json = run(&daemon, &["-o", "json", "get", "alice"]).await.json();
    assert_eq!(json["v"], 1);
    assert_eq!(about(&json, "alice")[0]["status"], "IDLE", "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_whom_nothing_is_known_are_told_apart() {
    let daemon = Daemon::start(&[]).await;
    ok(&daemon, &["set-status", "alice", "dnd"]).await;
    ok(&daemon, &["set-status", "bob", "online"]).await;
    daemon.socket("carol").await.close(Some(1000)).await;
    wait_until("carol left", async || {
        (daemon.rest().record("carol").await.status == Status::Offline).then_some(())
    })
    .await;
    for known in ["alice", "carol"] {
        ok(&daemon, &["get", known]).await;
    }
    for known in ["alice", "bob", "carol"] {
        ok(&daemon, &["explain", known]).await;
        ok(&daemon, &["kick", known, "--yes"]).await;
        ok(&daemon, &["forget", known, "--yes"]).await;
    }
    for unknown in ["nobody", "alice", "bob", "carol"] {
        for command in ["get", "explain", "kick", "forget"] {
            let yes = ["--yes"];
            let yes = if matches!(command, "kick" | "forget") {
                &yes[..]
            } else {
                &[]
            };
            let run = run(&daemon, &[&[command, unknown], yes].concat()).await;
            assert_eq!(run.code, 1, "{run:?}");
            assert!(run.err.contains("was never seen"), "{run:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn online_lists_present_users_in_every_format() {
    let daemon = Daemon::start(&[]).await;
    let _sockets = (daemon.socket("alice").await, daemon.socket("bob").await);
    daemon
        .rest()
        .set_custom_status("bob", "DO_NOT_DISTURB")
        .await
        .ok::<Value>();
    let table = ok(&daemon, &["online"]).await;
    assert!(table.contains("alice") && table.contains("bob"), "{table}");
    let json = run(&daemon, &["online", "-o", "json"]).await.json();
    assert_eq!(
        (about(&json, "alice").len(), about(&json, "bob").len()),
        (1, 1),
        "{json}"
    );
    let lines = ok(&daemon, &["online", "-o", "ndjson"]).await;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let csv = ok(&daemon, &["online", "-o", "csv"]).await;
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let busy = ok(&daemon, &["online", "--status", "DO_NOT_DISTURB", "-o", "csv"]).await;
    assert!(busy.contains("bob") && !busy.contains("alice"), "{busy}");
    let named = ok(&daemon, &["online", "--prefix", "al", "-o", "csv"]).await;
    assert!(named.contains("alice") && !named.contains("bob"), "{named}");
    assert_eq!(
        ok(&daemon, &["online", "--limit", "1", "-o", "csv"])
            .await
            .lines()
            .count(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_continue_over_a_daemon_restart() {
    let mut daemon = Setup::new(&["--grace", "0s", "--restart-grace", "0s"])
        .on_fixed_port()
        .start()
        .await;
    let mut events = StreamingCommand::start(&daemon, &["events", "-o", "ndjson"]);
    // It prints nothing until there is an event, so events are made until it prints one.
    wait_until("the stream begins", async || {
        daemon.socket("early").await.close(Some(1000)).await;
        events.lines().iter().any(|line| line.contains("early")).then_some(())
    })
    .await;
    let alice = daemon.socket("alice").await;
    wait_until("alice comes", async || events.has(&["alice", "ONLINE"])).await;
    drop(alice);
    daemon.kill();
    daemon.start_again().await;
    let _bob = daemon.socket("bob").await;
    wait_until("bob comes, after the restart", async || events.has(&["bob", "ONLINE"])).await;
    assert!(events.is_running());
    for line in events.lines() {
        let line: Value = serde_json::from_str(&line).unwrap();
        assert!(line.is_object(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_user_omit_other_users() {
    let daemon = Daemon::start(&["--grace", "0s"]).await;
    let events = StreamingCommand::start(&daemon, &["events", "--user", "alice", "-o", "ndjson"]);
    wait_until("the stream has alice", async || {
        daemon.socket("bob").await.close(Some(1000)).await;
        daemon.socket("alice").await.close(Some(1000)).await;
        events.has(&["alice"])
    })
    .await;
    assert!(
        events.lines().iter().all(|line| !line.contains("bob")),
        "{:?}",
        events.lines()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_the_rule_and_the_timers() {
    let daemon = Daemon::start(&["--grace", "20s"]).await;
    let mut alice = daemon.socket("alice").await;
    alice.be_active().await;
    let said = ok(&daemon, &["explain", "alice"]).await;
    assert!(said.contains("ONLINE") && said.contains("alice"), "{said}");
    let json = run(&daemon, &["explain", "alice", "-o", "json"]).await.json();
    assert_eq!(json["v"], 1, "{json}");
    assert_eq!(about(&json, "alice")[0]["reason"], "active", "{json}");
    alice.reset();
    wait_until("grace", async || daemon.rest().explain("alice").await.grace).await;
    let said = ok(&daemon, &["explain", "alice"]).await;
    assert!(
        said.contains("grace") && said.contains("OFFLINE"),
        "what comes next: {said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kick_and_forget_end_the_sessions_of_a_user() {
    let daemon = Daemon::start(&[]).await;
    let mut alice = daemon.socket("alice").await;
    ok(&daemon, &["kick", "alice", "--yes"]).await;
    assert_eq!(alice.goodbye().await.0, 4003);
    assert_eq!(daemon.rest().record("alice").await.status, Status::Offline);
    let mut alice = daemon.socket("alice").await;
    ok(&daemon, &["forget", "alice", "--yes"]).await;
    assert_eq!(alice.goodbye().await.0, 4010);
    assert_eq!(daemon.rest().record("alice").await.since, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_token_authenticates_its_user() {
    let daemon = Daemon::start(&[]).await;
    let token = ok(&daemon, &["token", "alice", "--ttl", "1m"]).await;
    let socket = Socket::connect(daemon.address(), HandshakeHeaders::bearer(token.trim()))
        .await
        .unwrap();
    assert_eq!(socket.user.as_ref().unwrap().user_id.as_str(), "alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_shows_what_changed_or_why_nothing_did() {
    let daemon = Daemon::start(&[]).await;
    assert_eq!(ok(&daemon, &["reload"]).await, "reloaded; nothing differs\n");
    let key = daemon.file("jwt-key");
    std::fs::write(&key, "another key of users' tokens").unwrap();
    assert_eq!(ok(&daemon, &["reload"]).await, "reloaded; changed: jwt-key\n");
    let document = ok(&daemon, &["reload", "-o", "json"]).await;
    assert!(document.starts_with(r#"{"v":1,"at":"#), "{document}");
    std::fs::write(&key, "short").unwrap();
    let failed = run(&daemon, &["reload"]).await;
    assert_eq!((failed.code, failed.out.as_str()), (1, ""), "{failed:?}");
    assert!(
        failed.err.contains("jwt-key") && failed.err.contains("5 bytes"),
        "{failed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_problems() {
    let mut daemon = Daemon::start(&[]).await;
    let well = run(&daemon, &["doctor"]).await;
    assert_eq!(well.code, 0, "{well:?}");
    let secret = daemon.file("secret");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let loose = run(&daemon, &["doctor"]).await;
    assert_ne!(loose.code, 0, "{loose:?}");
    assert!((loose.out + &loose.err).contains("secret"), "names the file");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let wrong = daemon.home().path().join("wrong");
    std::fs::write(&wrong, "not-the-secret-0123456789abcdef\n").unwrap();
    std::fs::set_permissions(&wrong, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let refused = run(&daemon, &["--secret-file", wrong.to_str().unwrap(), "doctor"]).await;
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!((refused.out + &refused.err).to_lowercase().contains("secret"));
    daemon.process().limit_file_size(1);
    assert_eq!(daemon.rest().set_custom_status("alice", "IDLE").await.status, 503);
    let full = run(&daemon, &["doctor"]).await;
    assert_ne!(full.code, 0, "{full:?}");
    daemon.process().unlimit_file_size();
    std::fs::rename(daemon.file("presence.db"), daemon.file("moved.db")).unwrap();
    wait_until("the store is sealed", async || {
        let health = daemon.rest().get("/readyz").await;
        health.body.to_string().contains("removed or replaced").then_some(())
    })
    .await;
    let replaced = run(&daemon, &["doctor"]).await;
    assert!(replaced.out.contains("back in their place"), "{replaced:?}");
    assert!(!replaced.out.contains("free disk space"), "{replaced:?}");
    std::fs::rename(daemon.file("moved.db"), daemon.file("presence.db")).unwrap();
    daemon.kill();
    let down = run(&daemon, &["doctor"]).await;
    assert_ne!(down.code, 0);
    assert!(
        (down.out.clone() + &down.err).contains("presenced"),
        "how to start it: {down:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_distinguish_kinds_of_failure() {
    let mut daemon = Daemon::start(&[]).await;
    assert_eq!(run(&daemon, &["no-such-command"]).await.code, 2);
    assert_eq!(run(&daemon, &["set-status", "AWAY"]).await.code, 2);
    assert_eq!(run(&daemon, &["online", "--limit", "many"]).await.code, 2);
    let wrong = daemon.home().path().join("wrong");
    std::fs::write(&wrong, "not-the-secret-0123456789abcdef\n").unwrap();
    std::fs::set_permissions(&wrong, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let refused = run(&daemon, &["--secret-file", wrong.to_str().unwrap(), "get", "alice"]).await;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert_eq!(refused.out, "");
    for _ in 0..20 {
        daemon.rest().set_custom_status("alice", "IDLE").await;
    }
    let limited = run(&daemon, &["set-status", "IDLE", "--user", "alice"]).await;
    assert_eq!(limited.code, 1, "{limited:?}");
    daemon.kill();
    let gone = run(&daemon, &["get", "alice"]).await;
    assert_eq!(gone.code, 3, "{gone:?}");
    assert!(!gone.err.trim().is_empty());
    let gone = run(&daemon, &["--server", "http://127.0.0.1:1", "stats"]).await;
    assert_eq!(gone.code, 3, "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_ids_from_stdin_may_be_hostile() {
    let daemon = Daemon::start(&[]).await;
    for id in ["a/b", "-rf", "\u{202e}evil", "%2e%2e"] {
        daemon
            .rest()
            .report(id, json!({"status": "ONLINE"}))
            .await
            .ok::<Value>();
    }
    let mut command = presence_tests::presencectl::command(&daemon, &["get", "-", "-o", "ndjson"]);
    command.stdin(Stdio::piped());
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(
            &mut child.stdin.take().unwrap(),
            "a/b\n-rf\n\u{202e}evil\n%2e%2e\n".as_bytes(),
        )
        .unwrap();
        child.wait_with_output().unwrap()
    });
    let output = ended.await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 4, "{text}");
    assert!(records.iter().all(|record| record["status"] == "ONLINE"), "{text}");
    let table = ok(&daemon, &["online"]).await;
    assert!(
        !table.contains('\u{202e}'),
        "what turns a terminal's text around is escaped: {table:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn simulate_connects_and_disconnects_50_users() {
    let daemon = Daemon::start(&["--grace", "1s", "--restart-grace", "1s"]).await;
    let said = run(&daemon, &["simulate", "--users", "50", "--duration", "3s"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let text = said.out.to_lowercase();
    assert!(text.contains("connect") && text.contains("p99"), "{said:?}");
    wait_until("all of them are gone", async || {
        daemon.rest().list("").await.users.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_man_pages_are_generated() {
    let daemon = Daemon::start(&[]).await;
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            ok(&daemon, &["completions", shell]).await.contains("set-status"),
            "{shell}"
        );
    }
    assert!(ok(&daemon, &["man"]).await.contains(".TH"));
    let stats = run(&daemon, &["stats", "-o", "json"]).await.json();
    assert_eq!(stats["v"], 1, "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_being_rotated_is_accepted_before_the_reload() {
    let daemon = Daemon::start(&[]).await;
    let path = daemon.file("secret");
    let old = daemon.secret();
    for text in [
        format!("a new secret of the daemon\n{old}\n").replace(' ', "-"),
        format!("{old}\na-new-secret-of-the-daemon\n"),
    ] {
        std::fs::write(&path, text).unwrap();
        for arguments in [
            &["stats"][..],
            &["online"],
            &["set-status", "dnd", "--user", "alice"],
            &["watch", "--once"],
        ] {
            let done = run(&daemon, arguments).await;
            assert_eq!(done.code, 0, "{arguments:?} {done:?}");
        }
    }
    std::fs::write(&path, "a-new-secret-of-the-daemon\nanother-new-secret\n").unwrap();
    assert_eq!(run(&daemon, &["stats"]).await.code, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_lists_a_daemon_that_has_no_others() {
    let daemon = Daemon::start(&["--node-name", "here"]).await;
    let table = ok(&daemon, &["nodes"]).await;
    let expected = match daemon.is_in_cluster() {
        true => "1 node, as here sees them",
        false => "here is alone: no --redis",
    };
    assert_eq!(table.lines().last(), Some(expected), "{table}");
}
