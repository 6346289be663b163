//! TLS to a real server, with a certificate made for the test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use presence::CustomStatus::Idle;

use super::TestDatabase;
use crate::store::tests::postgres_server::{Disk, PostgresServer};

/// A certificate and its key.
type CertificateFiles = (PathBuf, PathBuf);

/// Makes a certificate: of an authority, or one that an authority signs for `localhost`.
fn certificate(dir: &Path, name: &str, authority: Option<&CertificateFiles>) -> CertificateFiles {
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
    assert!(command.stderr(Stdio::null()).status().unwrap().success());
    (certificate, key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_of_tls_demands_what_it_says() {
    let server = PostgresServer::start(Disk::Unsynced);
    let database = TestDatabase::on(&server);
    let dir = database.dir.path();
    let (own, other) = (certificate(dir, "own", None), certificate(dir, "other", None));
    let (of_server, key) = certificate(dir, "server", Some(&own));
    server.install_certificate(&of_server, &key);
    server.configure("ssl = on");
    server.authenticate("local all all trust\nhostssl all all all trust\n");
    server.stop();
    server.start_again();
    let url = |mode: &str, host: &str| {
        let url = database.url().replace("127.0.0.1", host);
        url.replace("sslmode=disable", &format!("sslmode={mode}"))
    };
    let (own, other) = (own.0.display(), other.0.display());
    let good = [
        url("prefer", "127.0.0.1"),
        url("require", "127.0.0.1"),
        url(&format!("verify-full&sslrootcert={own}"), "localhost"),
        url(&format!("verify-ca&sslrootcert={own}"), "127.0.0.1"),
    ];
    for url in good {
        let store = database.open_at(&url, None).await.unwrap();
        store.set_custom("alice", Idle, 1).await.unwrap();
        store.close();
    }
    let bad = [
        (url("disable", "127.0.0.1"), "28000"),
        (
            url(&format!("verify-full&sslrootcert={own}"), "127.0.0.1"),
            "not valid for name",
        ),
        (
            url(&format!("verify-full&sslrootcert={other}"), "localhost"),
            "certificate",
        ),
        (
            url(&format!("verify-ca&sslrootcert={other}"), "localhost"),
            "certificate",
        ),
        (
            url("verify-full&sslrootcert=/nowhere", "localhost"),
            "sslrootcert /nowhere",
        ),
    ];
    for (url, words) in bad {
        let error = database.open_error(&url, None).await;
        assert!(error.contains(words), "{url}: {error}");
    }
}
