//! The OpenAPI document of a running daemon as tools use it: schemathesis compares it with what the daemon answers, and
//! openapi-typescript makes types of it, against which a program is checked. `scripts/openapi` installs both.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use presence_tests::binaries::repository;
use presence_tests::jwt::{claims, hs256};
use presence_tests::raw_client::Response;
use presence_tests::rest::send;
use presence_tests::wait::within;
use presence_tests::{Daemon, RawClient, file_lock};
use reqwest::Method;
use serde_json::Value;

/// So that thousands of calls of one user, from one address and with wrong credentials, are served. Loopback is not trusted, so that
/// `x-user-id` alone is no credential.
const FLAGS: [&str; 10] = [
    "--trusted-proxy",
    "192.0.2.1",
    "--choices-per-10s",
    "1000000",
    "--handshakes-per-second",
    "1000000",
    "--handshakes-burst",
    "1000000",
    "--failed-logins-per-minute",
    "1000000",
];
/// Requests that are generated for each call, beside those at the edges of its schemas.
const EXAMPLES: &str = "40";
/// The fewest requests that are a test: one of everything would be some hundreds.
const REQUESTS_MIN: usize = 1000;

/// Runs a tool of `scripts/openapi`.
async fn run(directory: &Path, arguments: &[&str], variables: &[(&str, String)]) -> Output {
    let mut script = Command::new(repository().join("scripts/openapi"));
    // Tools keep caches at home.
    script.args(arguments).env("HOME", directory);
    script.envs(variables.iter().cloned());
    let running = tokio::task::spawn_blocking(move || script.output().unwrap());
    within("the tool ends", Duration::from_secs(600), running)
        .await
        .unwrap()
}

/// Fails the test unless the tool ended well. What it said.
#[track_caller]
fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "scripts/openapi said:\n{out}{err}");
    out.into_owned()
}

/// Has schemathesis call a daemon as `config` says.
async fn compare(daemon: &Daemon, config: &str, credential: (&str, String)) {
    let _lock = file_lock::heavy().await;
    let directory = tempfile::tempdir().unwrap();
    let config = repository().join("tests/openapi").join(config);
    let document = format!("http://{}/openapi.json", daemon.address());
    let arguments = [
        "schemathesis",
        "--config-file",
        config.to_str().unwrap(),
        "run",
        &document,
        "--max-examples",
        EXAMPLES,
    ];
    let report = said(&run(directory.path(), &arguments, &[credential]).await);
    let words: Vec<&str> = report.split_whitespace().collect();
    let generated = words.iter().position(|word| *word == "generated,").unwrap();
    let requests: usize = words[generated - 1].parse().unwrap();
    assert!(requests >= REQUESTS_MIN, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_with_the_internal_secret() {
    let daemon = Daemon::start(&FLAGS).await;
    compare(&daemon, "internal.toml", ("PRESENCED_SECRET", daemon.secret())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_with_the_token_of_a_user() {
    let daemon = Daemon::start(&FLAGS).await;
    let token = hs256(&daemon.jwt_key(), &claims("alice", 3_600));
    compare(&daemon, "user.toml", ("PRESENCED_TOKEN", token)).await;
}

/// A value of the document; a reference is followed.
fn at(document: &Value, pointer: &str) -> Value {
    let value = document.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
    match value["$ref"].as_str() {
        Some(reference) => at(document, reference.trim_start_matches('#')),
        None => value.clone(),
    }
}

/// Fails the test unless the response to `GET /ws` has a status and headers of the document.
fn assert_documented(document: &Value, response: &Response) {
    let headers = format!("/paths/~1ws/get/responses/{}/headers", response.status);
    for name in at(document, &headers).as_object().unwrap().keys() {
        let documented = at(document, &format!("{headers}/{name}"));
        let sent = response.header(name);
        assert!(
            sent.is_some() || documented["required"] != true,
            "{name}: {}",
            response.head
        );
        let values = documented["schema"]["enum"].as_array();
        let fits = |sent| values.is_none_or(|values| values.iter().any(|value| value == sent));
        assert!(sent.is_none_or(fits), "{name}: {}", response.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_handshake_is_answered_as_documented() {
    let daemon = Daemon::start(&[]).await;
    let document = send(daemon.rest().request(Method::GET, "/openapi.json")).await;
    let document = document.ok::<Value>();
    let parameters = document.pointer("/paths/~1ws/get/parameters").unwrap();
    let required = parameters.as_array().unwrap().iter();
    let headers: Vec<(&str, String)> = required
        .filter(|parameter| parameter["required"] == true)
        .map(|parameter| {
            let constant = parameter["schema"]["enum"][0].as_str();
            // The one without a constant is the key.
            let value = constant.unwrap_or("dGhlIHNhbXBsZSBub25jZQ==");
            (parameter["name"].as_str().unwrap(), value.to_owned())
        })
        .collect();
    for (left_out, status) in [
        (None, 101),
        (Some("Connection"), 426),
        (Some("Upgrade"), 426),
        (Some("Sec-WebSocket-Version"), 426),
        (Some("Sec-WebSocket-Key"), 400),
    ] {
        let mut request = "GET /ws HTTP/1.1\r\nhost: localhost\r\nx-user-id: alice\r\n".to_owned();
        for (name, value) in headers.iter().filter(|(name, _)| Some(*name) != left_out) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut client = RawClient::connect(daemon.address()).await;
        client.send(format!("{request}\r\n")).await;
        let response = client.response().await;
        assert_eq!(response.status, status, "without {left_out:?}: {}", response.head);
        assert_documented(&document, &response);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typescript_program_type_checks_against_the_document() {
    let daemon = Daemon::start(&[]).await;
    let directory = tempfile::tempdir().unwrap();
    let document = send(daemon.rest().request(Method::GET, "/openapi.json")).await;
    let [file, program] = ["openapi.json", "client.ts"].map(|name| directory.path().join(name));
    std::fs::write(&file, document.ok::<Value>().to_string()).unwrap();
    std::fs::copy(repository().join("tests/openapi/client.ts"), program).unwrap();
    let home = directory.path().to_str().unwrap();
    said(&run(directory.path(), &["types", file.to_str().unwrap(), home], &[]).await);
    said(&run(directory.path(), &["check", home], &[]).await);
}
