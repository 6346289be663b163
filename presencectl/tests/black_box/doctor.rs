//! `doctor`: each problem is found with its fix and the exit code.

use serde_json::{Value, json};

use crate::fake_daemon::{Answer, FakeDaemon, Request, ok, problem};
use crate::sandbox::{Sandbox, chmod};

fn stats() -> Value {
    json!({"now": now(), "node": "n1", "version": env!("CARGO_PKG_VERSION"), "schemaVersion": 1, "uptimeSeconds": 5,
           "users": {"ONLINE": 0, "IDLE": 0, "DO_NOT_DISTURB": 0},
           "sessions": {"connections": 0, "observers": 0, "reports": 0, "inGrace": 0, "watchers": 0, "watches": 0},
           "rates": {"changesPerSecond": 0.0, "deliveriesPerSecond": 0.0, "connectsPerSecond": 0.0},
           "store": {"kind": "sqlite", "writable": true, "pendingWrites": 0},
           "limits": {"maxConnections": 18000, "openFiles": 20000}})
}

#[expect(clippy::disallowed_methods, reason = "the fake daemon's clock is this machine's")]
fn now() -> String {
    let millis = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis();
    presence::Wall::from_millis(i64::try_from(millis).unwrap()).to_string()
}

fn healthy(request: &Request, stats: &Value) -> Answer {
    match request.line.as_str() {
        "GET /healthz" | "GET /readyz" => ok(&json!({"ok": true, "problems": []})),
        "GET /api/stats" => ok(stats),
        _ => problem(404, "not_found", "no"),
    }
}

/// The exit code, and the check of this name.
fn diagnosed(sandbox: &Sandbox, name: &str) -> (i32, Value) {
    let run = sandbox.run(&["doctor", "-o", "json"]);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["ok"], json!(run.code == 0), "{document}");
    let checks = document["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    (
        run.code,
        check.unwrap_or_else(|| panic!("no check {name}: {document}")).clone(),
    )
}

fn with(change: impl Fn(&mut Value) + Send + Sync + 'static) -> FakeDaemon {
    FakeDaemon::start_with_sockets(
        move |request| {
            let mut stats = stats();
            change(&mut stats);
            healthy(request, &stats)
        },
        |mut socket, _| {
            crate::fake_daemon::hear(&mut socket);
        },
    )
}

/// What `doctor` reports, and its exit code.
struct Finding {
    code: i32,
    result: &'static str,
    found: &'static str,
    fix: &'static str,
}

fn assert_found(change: impl Fn(&mut Value) + Send + Sync + 'static, name: &str, expected: &Finding) {
    let daemon = with(change);
    let (exit, check) = diagnosed(&Sandbox::with_daemon(&daemon.address()), name);
    assert_eq!(
        (exit, check["result"].as_str()),
        (expected.code, Some(expected.result)),
        "{check}"
    );
    assert!(check["found"].as_str().unwrap().contains(expected.found), "{check}");
    assert!(check["fix"].as_str().unwrap().contains(expected.fix), "{check}");
}

#[test]
fn a_healthy_daemon_has_no_failures_and_exit_code_0() {
    let daemon = with(|_| {});
    let sandbox = Sandbox::with_daemon(&daemon.address());
    let run = sandbox.run(&["doctor"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.ends_with("no problems found\n"), "{run:?}");
    assert_eq!(diagnosed(&sandbox, "websocket").1["result"], "ok");
    assert!(
        diagnosed(&sandbox, "proxy").1["found"]
            .as_str()
            .unwrap()
            .contains("--trusted-proxy")
    );
}

#[test]
fn a_warning_of_a_ready_daemon_is_shown_with_a_fix() {
    let daemon = FakeDaemon::start_with_sockets(
        |request| match request.line.as_str() {
            "GET /readyz" => ok(&json!({"ok": true, "problems": [], "warnings": ["the system's clock went back"]})),
            _ => healthy(request, &stats()),
        },
        |mut socket, _| {
            crate::fake_daemon::hear(&mut socket);
        },
    );
    let (code, check) = diagnosed(&Sandbox::with_daemon(&daemon.address()), "ready");
    assert_eq!((code, check["result"].as_str()), (0, Some("warn")));
    assert_eq!(check["found"], "the system's clock went back");
    assert!(check["fix"].as_str().unwrap().contains("docs/operations.md"), "{check}");
}

#[test]
fn a_missing_daemon_is_exit_code_3_with_a_fix() {
    let (code, check) = diagnosed(&Sandbox::new(), "server");
    assert_eq!((code, check["result"].as_str()), (3, Some("fail")));
    assert!(check["fix"].as_str().unwrap().contains("`presenced`"), "{check}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (code, check) = diagnosed(&Sandbox::with_daemon(&closed.to_string()), "reachable");
    assert_eq!((code, check["result"].as_str()), (3, Some("fail")));
    assert!(check["fix"].as_str().unwrap().contains("`presenced`"), "{check}");
}

#[test]
fn a_wrong_secret_is_found() {
    let daemon = FakeDaemon::start(|request| match request.line.as_str() {
        "GET /api/stats" => problem(403, "forbidden", "wrong secret"),
        _ => healthy(request, &json!({})),
    });
    let (code, check) = diagnosed(&Sandbox::with_daemon(&daemon.address()), "secret");
    assert_eq!((code, check["result"].as_str()), (1, Some("fail")));
    assert!(check["fix"].as_str().unwrap().contains("presenced/secret"), "{check}");
}

#[test]
fn files_readable_by_others_are_found_with_the_fix() {
    let daemon = with(|_| {});
    let sandbox = Sandbox::with_daemon(&daemon.address());
    chmod(&sandbox.data_dir(), 0o755);
    chmod(&sandbox.path("presenced/jwt-key"), 0o644);
    let (code, check) = diagnosed(&sandbox, "files");
    assert_eq!((code, check["result"].as_str()), (1, Some("fail")));
    let fix = check["fix"].as_str().unwrap();
    assert!(
        fix.contains(&format!("chmod 700 {}", sandbox.data_dir().display())),
        "{fix}"
    );
    assert!(fix.contains("jwt-key") && !fix.contains("address"), "{fix}");
    chmod(&sandbox.path("presenced/secret"), 0o644);
    let (code, check) = diagnosed(&sandbox, "secret");
    assert_eq!(code, 1);
    assert!(check["fix"].as_str().unwrap().contains("chmod 600"), "{check}");
    assert_eq!(
        diagnosed(&sandbox, "reachable").1["result"],
        "ok",
        "the daemon is still checked"
    );
}

#[test]
fn a_store_that_is_not_writable_is_found() {
    let broken = |stats: &mut Value| {
        stats["store"]["writable"] = json!(false);
        stats["store"]["error"] = json!("database or disk is full: free some space; service resumes by itself");
    };
    let finding = Finding {
        code: 1,
        result: "fail",
        found: "disk is full",
        fix: "free disk space",
    };
    assert_found(broken, "store", &finding);
}

#[test]
fn a_daemon_that_is_not_ready_is_reported_with_the_problem() {
    let daemon = FakeDaemon::start(|request| match request.line.as_str() {
        "GET /readyz" => Answer {
            status: 503,
            ..ok(&json!({"ok": false, "problems": ["the store can't be written"]}))
        },
        _ => healthy(request, &stats()),
    });
    let (code, check) = diagnosed(&Sandbox::with_daemon(&daemon.address()), "ready");
    assert_eq!((code, check["result"].as_str()), (1, Some("fail")));
    assert_eq!(check["found"], "the store can't be written");
}

#[test]
fn too_few_open_files_are_found() {
    let few = |stats: &mut Value| stats["limits"] = json!({"maxConnections": 50_000, "openFiles": 1024});
    let finding = Finding {
        code: 1,
        result: "fail",
        found: "1024 open files",
        fix: "LimitNOFILE",
    };
    assert_found(few, "limits", &finding);
}

#[test]
fn a_clock_difference_is_found() {
    let off = |stats: &mut Value| stats["now"] = json!("2020-01-01T00:00:00.000Z");
    let finding = Finding {
        code: 1,
        result: "fail",
        found: "behind",
        fix: "NTP",
    };
    assert_found(off, "clock", &finding);
}

#[test]
fn a_different_version_is_a_warning() {
    let other = |stats: &mut Value| stats["version"] = json!("9.9.9");
    let finding = Finding {
        code: 0,
        result: "warn",
        found: "9.9.9",
        fix: "same release",
    };
    assert_found(other, "version", &finding);
}

#[test]
fn another_server_on_the_port_is_detected() {
    let daemon = FakeDaemon::start(|_| Answer {
        status: 200,
        headers: vec![],
        body: "<html>".into(),
    });
    let (code, check) = diagnosed(&Sandbox::with_daemon(&daemon.address()), "reachable");
    assert_eq!((code, check["result"].as_str()), (1, Some("fail")));
    assert!(check["fix"].as_str().unwrap().contains("another program"), "{check}");
}

#[test]
fn a_failed_or_partial_reload_is_found() {
    assert_found(
        |stats| stats["reload"] = json!({"at": now(), "error": "\"/x/secret\" is missing"}),
        "reload",
        &Finding {
            code: 1,
            result: "fail",
            found: "\"/x/secret\" is missing",
            fix: "reload again",
        },
    );
    assert_found(
        |stats| stats["reload"] = json!({"at": now(), "restartNeeded": ["grace", "listen"]}),
        "reload",
        &Finding {
            code: 0,
            result: "warn",
            found: "grace, listen",
            fix: "restart presenced",
        },
    );
}
