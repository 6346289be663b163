//! Contexts, from the first `add` to the last `remove`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::fake_daemon::{FakeDaemon, ok, record};
use crate::sandbox::{SECRET, Sandbox};

#[test]
fn a_context_is_added_used_shown_and_removed() {
    let daemon = FakeDaemon::start(|request| {
        let user = request.header("x-user-id").unwrap_or_else(|| "alice".into());
        match request.line.as_str() {
            "PUT /api/user/custom-status" => ok(&record(&user, "IDLE", 1)),
            _ => ok(&json!({"now": "2026-11-23T05:00:00.000Z", "users": [record("alice", "IDLE", 1)]})),
        }
    });
    let sandbox = Sandbox::with_daemon("127.0.0.1:1");
    let secret = sandbox.private("other-secret", "another-secret-altogether");
    let server = format!("http://{}", daemon.address());
    let add = [
        "context",
        "add",
        "prod",
        "--server",
        &server,
        "--secret-file",
        secret.to_str().unwrap(),
        "--user",
        "ops",
    ];
    assert_eq!(sandbox.run(&add).code, 0);
    assert_eq!(sandbox.run(&add).code, 2, "a context is not overwritten by accident");
    let config = sandbox.path("config/presencectl/config.toml");
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&config).unwrap().contains("another-secret"));

    assert_eq!(sandbox.run(&["get", "alice"]).code, 3, "adding does not select");
    assert_eq!(sandbox.run(&["--context", "prod", "get", "alice"]).code, 0);
    assert_eq!(sandbox.run(&["context", "use", "prod"]).code, 0);
    assert_eq!(sandbox.run(&["set-status", "idle"]).code, 0);
    let request = daemon.requests().pop().unwrap();
    assert_eq!(request.header("x-user-id").as_deref(), Some("ops"));
    assert_eq!(
        request.header("x-secret-token").as_deref(),
        Some("another-secret-altogether")
    );

    let list: Value = serde_json::from_str(&sandbox.run(&["context", "list", "-o", "json"]).stdout).unwrap();
    let names: Vec<_> = list["contexts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["name"].clone(), c["inUse"].clone()))
        .collect();
    assert_eq!(names, [(json!("local"), json!(false)), (json!("prod"), json!(true))]);
    assert_eq!(sandbox.run(&["context", "list", "--names"]).stdout, "local\nprod\n");
    assert!(sandbox.run(&["context", "show"]).stdout.contains(&server));

    assert_eq!(sandbox.run(&["--context", "local", "get", "alice"]).code, 3);
    assert_eq!(sandbox.run(&["context", "remove", "prod"]).code, 0);
    assert_eq!(sandbox.run(&["get", "alice"]).code, 3, "the local daemon is used again");
    assert!(
        daemon
            .requests()
            .iter()
            .all(|request| request.header("x-secret-token").as_deref() != Some(SECRET))
    );
}

#[test]
fn a_context_needs_a_usable_server() {
    let sandbox = Sandbox::new();
    for arguments in [
        vec!["context", "add", "x"],
        vec!["context", "add", "x", "--server", "wss://x"],
        vec!["context", "add", "x", "--server", "http://me:pw@x"],
        vec!["context", "add", "local", "--server", "http://x"],
        vec!["context", "add", "a b", "--server", "http://x"],
        vec!["context", "use", "x"],
        vec!["context", "remove", "x"],
        vec!["context", "show", "x"],
    ] {
        let run = sandbox.run(&arguments);
        assert_eq!(run.code, 2, "{arguments:?} {run:?}");
        assert!(!run.stderr.contains("pw"), "{run:?}");
    }
    assert!(!sandbox.path("config/presencectl/config.toml").exists());
}

#[test]
fn the_environment_selects_the_server() {
    let daemon =
        FakeDaemon::start(|_| ok(&json!({"now": "2026-11-23T05:00:00.000Z", "users": [record("alice", "IDLE", 1)]})));
    let sandbox = Sandbox::new();
    let token = sandbox.private("token", "a.b.c");
    let output = sandbox
        .command(&["get", "alice"])
        .env("PRESENCECTL_SERVER", daemon.address())
        .env("PRESENCECTL_TOKEN_FILE", token)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        daemon.requests()[0].header("authorization").as_deref(),
        Some("Bearer a.b.c")
    );
}

#[test]
fn the_data_directory_of_a_daemon_selects_it() {
    let daemon =
        FakeDaemon::start(|_| ok(&json!({"now": "2026-11-23T05:00:00.000Z", "users": [record("alice", "IDLE", 1)]})));
    let other = Sandbox::with_daemon(&daemon.address());
    let sandbox = Sandbox::new();
    let directory = other.data_dir();
    let directory = directory.to_str().unwrap();
    let run = sandbox.run(&["--data-dir", directory, "get", "alice"]);
    assert_eq!(run.code, 0, "{run:?}");
    let request = daemon.requests().pop().unwrap();
    assert_eq!(request.header("x-secret-token").as_deref(), Some(SECRET));
    let mut command = sandbox.command(&["get", "alice"]);
    assert!(
        command
            .env("PRESENCECTL_DATA_DIR", directory)
            .status()
            .unwrap()
            .success()
    );
    for with in [["--server", "http://127.0.0.1:1"], ["--context", "local"]] {
        let run = sandbox.run(&[&["--data-dir", directory, "get", "alice"], &with[..]].concat());
        assert_eq!(run.code, 2, "only one daemon is named: {run:?}");
    }
    let run = sandbox.run(&[
        "--secret-file",
        "a",
        "get",
        "alice",
        "--token",
        "b",
        "--data-dir",
        directory,
    ]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(
        run.stderr.contains("--secret-file and --token can't be combined"),
        "{run:?}"
    );
}
