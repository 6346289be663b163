//! The demonstration page: served with `--demo` alone, where nobody but this machine reaches it, and tokens for nobody but the page.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use presence_tests::daemon::Setup;
use presence_tests::raw_client::Response;
use presence_tests::rest::send;
use presence_tests::wait::wait_until;
use presence_tests::websocket::HandshakeHeaders;
use presence_tests::{Daemon, RawClient, Socket};
use reqwest::Method;
use serde_json::{Value, json};

/// Asks for a token with these header lines; returns the response.
async fn ask_for_token(daemon: &Daemon, user: &Value, headers: &[String]) -> Response {
    let body = json!({ "userId": user }).to_string();
    let mut request = "POST /demo/token HTTP/1.1\r\n".to_owned();
    for line in headers {
        request.push_str(&format!("{line}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    let mut client = RawClient::connect(daemon.address()).await;
    client.send(request).await;
    client.response().await
}

/// The header lines of the page's own request.
fn own_page(daemon: &Daemon) -> Vec<String> {
    let address = daemon.address();
    vec![format!("host: {address}"), format!("origin: http://{address}")]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_page_is_served_only_with_the_flag() {
    let daemon = Daemon::start(&[]).await;
    let page = send(daemon.rest().request(Method::GET, "/demo")).await;
    page.rejected(404, "not_found");
    let token = ask_for_token(&daemon, &json!("alice"), &own_page(&daemon)).await;
    assert_eq!((token.status, token.code()), (404, "not_found".to_owned()));
    let daemon = Daemon::start(&["--demo"]).await;
    let mut client = RawClient::connect(daemon.address()).await;
    client
        .send(format!(
            "GET /demo?user=alice HTTP/1.1\r\nhost: {}\r\n\r\n",
            daemon.address()
        ))
        .await;
    let page = client.response().await;
    assert_eq!(page.status, 200, "{}", page.head);
    assert!(page.body.contains("Anybody on this machine can be anybody"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'sha256-", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_token_opens_a_websocket() {
    let daemon = Daemon::start(&["--demo"]).await;
    for name in ["alice", "zoë"] {
        let response = ask_for_token(&daemon, &json!(name), &own_page(&daemon)).await;
        assert_eq!(response.status, 200, "{} {}", response.head, response.body);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("access-control-allow-origin"), None);
        let body: Value = serde_json::from_str(&response.body).unwrap();
        let token = body["token"].as_str().unwrap();
        let socket = Socket::connect(daemon.address(), HandshakeHeaders::bearer(token))
            .await
            .unwrap();
        assert_eq!(socket.user.as_ref().unwrap().user_id.as_str(), name);
        assert!(!daemon.log().contains(token), "no token in the log");
    }
    for (user, code) in [
        (json!(""), "invalid_user_id"),
        (json!(".."), "invalid_user_id"),
        (json!("a".repeat(129)), "invalid_user_id"),
        (json!(7), "invalid_value"),
        (json!(null), "invalid_value"),
    ] {
        let response = ask_for_token(&daemon, &user, &own_page(&daemon)).await;
        assert_eq!((response.status, response.code()), (400, code.to_owned()), "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_or_host_gets_no_demo_token() {
    let daemon = Daemon::start(&["--demo", "--allowed-origin", "http://app.example"]).await;
    let address = daemon.address();
    let port = address.port();
    let host = format!("host: {address}");
    for (lines, expected) in [
        (vec![host.clone()], (403, "forbidden")),
        (
            vec![host.clone(), "origin: http://evil.example".into()],
            (403, "forbidden"),
        ),
        (vec![host.clone(), "origin: null".into()], (403, "forbidden")),
        (
            vec![host.clone(), "origin: http://app.example".into()],
            (403, "forbidden"),
        ),
        (
            vec![host.clone(), format!("origin: http://localhost:{port}")],
            (403, "forbidden"),
        ),
        (
            vec![
                host.clone(),
                format!("origin: http://{address}"),
                "x-forwarded-for: 192.0.2.7".into(),
            ],
            (403, "forbidden"),
        ),
        (
            vec![
                format!("host: evil.example:{port}"),
                format!("origin: http://evil.example:{port}"),
            ],
            (421, "misdirected_request"),
        ),
        (
            vec!["host: app.example".into(), "origin: http://app.example".into()],
            (403, "forbidden"),
        ),
    ] {
        let response = ask_for_token(&daemon, &json!("alice"), &lines).await;
        assert_eq!((response.status, response.code().as_str()), expected, "{lines:?}");
        assert!(!response.body.contains("token\":"), "{}", response.body);
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
    let mut client = RawClient::connect(address).await;
    client.send("GET /demo HTTP/1.1\r\nhost: evil.example\r\n\r\n").await;
    assert_eq!(client.response().await.status, 421);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_is_refused_beside_settings_of_an_application() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let file = home.path().join("key");
    write_private(&file, "a secret of an application, longer than sixteen bytes");
    let file = file.to_str().unwrap();
    for (flags, named) in [
        (&["--demo", "--jwt-key", file][..], "--jwt-key"),
        (&["--demo", "--trusted-proxy", "127.0.0.1"], "--trusted-proxy"),
        (&["--demo", "--jwt-issuer", "login"], "--jwt-issuer"),
        (&["--demo", "--redis", "redis://127.0.0.1:1"], "--redis"),
    ] {
        let failure = Daemon::start_failure(&home, flags).await;
        assert_eq!(failure.status.code(), Some(2), "{flags:?} {failure:?}");
        let expected = "presenced: --demo lets anybody be any user: ";
        assert!(failure.stderr.starts_with(expected), "{flags:?} {}", failure.stderr);
        assert!(failure.stderr.contains(named), "{flags:?} {}", failure.stderr);
        assert_eq!(failure.stderr.trim().lines().count(), 1, "{flags:?} {}", failure.stderr);
    }
    let open = Setup::new(&["--demo", "--insecure"]).listening_on("0.0.0.0:0");
    let failure = open.try_start().await.unwrap_err();
    assert!(
        failure.stderr.contains("--listen must be a loopback address"),
        "{failure:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_needs_the_key_that_the_daemon_made() {
    let mut daemon = Daemon::start(&["--demo"]).await;
    let generated = daemon.jwt_key();
    let key = daemon.file("jwt-key");
    std::fs::remove_file(&key).unwrap();
    // As `openssl rand -hex 32` prints it.
    write_private(&key, &format!("{}\n", "0123456789abcdef".repeat(4)));
    daemon.process().hang_up();
    wait_until("the reload fails", async || {
        daemon.log().contains("the reload failed").then_some(())
    })
    .await;
    let response = ask_for_token(&daemon, &json!("alice"), &own_page(&daemon)).await;
    assert_eq!(response.status, 200, "the key stays: {}", response.body);
    assert!(!daemon.log().contains(&generated));
    daemon.terminate().await;
    let failure = Daemon::start_failure(daemon.home(), &["--demo"]).await;
    assert_eq!(failure.status.code(), Some(1), "{failure:?}");
    assert!(
        failure.stderr.contains("it needs the key that presenced made"),
        "{failure:?}"
    );
}

fn write_private(path: &Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
