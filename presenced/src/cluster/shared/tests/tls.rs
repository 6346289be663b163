//! TLS to a real Redis, with certificates made for the test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::link::AnswerTimes;
use super::super::servers::{RedisOptions, RedisServers};
use super::ports::free_port;
use super::server::{PATIENT, RedisServer};
use super::starts::{LONG, facts, node, refused};
use crate::redis_url::RedisUrl;

/// A certificate and its key.
type PemFiles = (PathBuf, PathBuf);

/// Makes a certificate: of an authority, or one that an authority signs for `localhost`.
fn certificate(dir: &Path, name: &str, authority: Option<&PemFiles>) -> PemFiles {
    let (certificate, key) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]);
    command.args(["-days", "2", "-subj", &format!("/CN={name}")]);
    if let Some((authority, key)) = authority {
        command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        command
            .args(["-addext", "subjectAltName=DNS:localhost", "-CA"])
            .arg(authority);
        command.arg("-CAkey").arg(key);
    }
    command.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    assert!(command.stderr(Stdio::null()).status().expect("openssl").success());
    (certificate, key)
}

/// As a node with these root certificates knows the server at this host.
fn servers(host: &str, port: u16, roots: &PemFiles) -> RedisServers {
    servers_within(host, port, roots, PATIENT)
}

fn servers_within(host: &str, port: u16, roots: &PemFiles, times: AnswerTimes) -> RedisServers {
    let options = RedisOptions {
        times,
        urls: vec![RedisUrl::parse(&format!("rediss://{host}:{port}")).expect("an address")],
        root_certificates: Some(std::fs::read(&roots.0).expect("a certificate")),
        ..RedisOptions::default()
    };
    RedisServers::new(&options).expect("servers")
}

#[tokio::test]
async fn a_certificate_must_be_signed_by_the_named_roots_for_the_host() {
    let dir = tempfile::tempdir().expect("a directory");
    let (own, other) = (
        certificate(dir.path(), "own", None),
        certificate(dir.path(), "other", None),
    );
    let of_server = certificate(dir.path(), "server", Some(&own));
    let port = free_port();
    let path = |path: &PathBuf| path.to_str().expect("a path in UTF-8").to_owned();
    let _server = RedisServer::start(&[
        "--bind",
        "127.0.0.1",
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &path(&of_server.0),
        "--tls-key-file",
        &path(&of_server.1),
        "--tls-ca-cert-file",
        &path(&own.0),
        "--tls-auth-clients",
        "no",
    ])
    .await;
    servers("localhost", port, &own).open(0).await.expect("a connection");
    let unknown = servers("localhost", port, &other)
        .open(0)
        .await
        .expect_err("another authority");
    assert!(unknown.to_string().contains("UnknownIssuer"), "{unknown}");
    let misnamed = servers("127.0.0.1", port, &own);
    let error = misnamed.open(0).await.expect_err("another name").to_string();
    assert!(error.contains("not valid for name"), "{error}");
    let error = refused(&misnamed, &facts(), node("a", LONG)).await.to_string();
    assert!(error.contains("--redis-ca-file"), "no reason to wait: {error}");

    let plain = RedisOptions {
        urls: vec![RedisUrl::parse(&format!("redis://localhost:{port}")).expect("an address")],
        ..RedisOptions::patient()
    };
    let plain = RedisServers::new(&plain).expect("servers");
    let error = plain.open(0).await.expect_err("no TLS to a port with it");
    let hint = plain.tls_hint(&error);
    assert!(hint.is_some_and(|hint| hint.contains("rediss://")), "{error:?}");
}

#[tokio::test]
async fn a_server_without_tls_that_is_asked_with_it_gets_a_hint() {
    let dir = tempfile::tempdir().expect("a directory");
    let authority = certificate(dir.path(), "own", None);
    let port = free_port();
    let _server = RedisServer::start(&["--bind", "127.0.0.1", "--port", &port.to_string()]).await;
    // The server waits for the end of a line.
    let servers = servers_within("localhost", port, &authority, AnswerTimes::default());
    let error = servers.open(0).await.expect_err("TLS to a port without it");
    let hint = servers.tls_hint(&error);
    assert!(hint.is_some_and(|hint| hint.contains("redis://")), "{error:?}");
}
