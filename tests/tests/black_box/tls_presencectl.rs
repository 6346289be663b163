//! `presencectl` with a daemon that speaks TLS: how it verifies it, and what it says of a certificate that does not do.

use presence::Wall;
use presence_tests::certificates::{Certificates, shown};
use presence_tests::clock::wall_now;
use presence_tests::presencectl::{CommandOutput, run, run_at};
use presence_tests::wait_until;
use serde_json::Value;

use crate::tls::TlsDaemon;

/// Runs it as on another machine, where server and secret must be named.
async fn remote(tls: &TlsDaemon, server: &str, arguments: &[&str]) -> CommandOutput {
    let secret = shown(&tls.certificates.write("secret", &tls.daemon.secret()));
    let all = [&["--server", server, "--secret-file", &secret], arguments].concat();
    run_at(&tls.certificates.path(""), &all).await
}

fn check<'a>(output: &'a Value, name: &str) -> &'a Value {
    let checks = output["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["name"] == name)
        .unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn presencectl_finds_the_tls_daemon_of_this_machine_by_itself() {
    let tls = TlsDaemon::start(&[]).await;
    let _alice = tls.socket("alice").await;
    let online = run(&tls.daemon, &["online", "-o", "json"]).await;
    assert_eq!(online.code, 0, "{online:?}");
    assert_eq!(online.json()["users"][0]["userId"], "alice");
    // Over a WebSocket, whatever names the certificate has.
    tls.certificates.issue(|params| params.subject_alt_names.clear());
    tls.daemon.process().hang_up();
    let doctor = wait_until("the new certificate is recorded", async || {
        let doctor = run(&tls.daemon, &["doctor", "-o", "json"]).await;
        (doctor.code == 0).then_some(doctor)
    })
    .await;
    assert_eq!(check(&doctor.json(), "websocket")["result"], "ok", "{doctor:?}");
    assert_eq!(check(&doctor.json(), "tls")["result"], "ok", "{doctor:?}");
    // Another program at its address has another certificate.
    let other = std::fs::read(Certificates::new().path("cert.pem")).unwrap();
    std::fs::write(tls.daemon.file("tls-certificate"), other).unwrap();
    let refused = run(&tls.daemon, &["stats"]).await;
    assert!(
        refused.code == 3
            && refused
                .err
                .contains("not the one that the daemon of this machine recorded"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn presencectl_verifies_a_server_and_keeps_the_ca_file_in_contexts() {
    let tls = TlsDaemon::start(&[]).await;
    let server = format!("https://localhost:{}", tls.daemon.address().port());
    let ca = shown(&tls.certificates.path("ca.pem"));
    let stats = remote(&tls, &server, &["--ca-file", &ca, "stats"]).await;
    assert_eq!(stats.code, 0, "{stats:?}");
    let unknown = remote(&tls, &server, &["stats"]).await;
    assert_eq!(unknown.code, 3, "{unknown:?}");
    assert!(
        unknown.err.contains("signed by none that is trusted") && unknown.err.contains("--ca-file FILE"),
        "{unknown:?}"
    );
    let added = remote(&tls, &server, &["--ca-file", &ca, "context", "add", "far"]).await;
    assert_eq!(added.code, 0, "{added:?}");
    let home = tls.certificates.path("");
    let shown = run_at(&home, &["context", "show", "far", "-o", "json"]).await;
    assert_eq!(shown.json()["contexts"][0]["caFile"], ca, "{shown:?}");
    let doctor = run_at(&home, &["--context", "far", "doctor", "-o", "json"]).await;
    assert_eq!(check(&doctor.json(), "websocket")["result"], "ok", "{doctor:?}");
    let simulated = run_at(
        &home,
        &[
            "--context",
            "far",
            "simulate",
            "--users",
            "20",
            "--duration",
            "1s",
            "-o",
            "json",
        ],
    )
    .await;
    assert_eq!(simulated.code, 0, "{simulated:?}");
}

/// What the daemon serves from now on.
type Issue = fn(&Certificates);

/// Certificates, the host by which the daemon is named, and what `presencectl` says.
const BAD_CERTIFICATES: [(Issue, &str, &[&str]); 5] = [
    (
        |certificates| {
            certificates.issue(|params| {
                params.not_before = rcgen::date_time_ymd(2020, 1, 1);
                params.not_after = rcgen::date_time_ymd(2021, 1, 1);
            });
        },
        "localhost",
        &["certificate expired at 2021-01-01", "pkill -HUP"],
    ),
    (
        |certificates| certificates.issue(|params| params.not_before = rcgen::date_time_ymd(2090, 1, 1)),
        "localhost",
        &["not valid before 2090-01-01", "clocks"],
    ),
    (
        |certificates| {
            let names = ["chat.example.org".to_owned()];
            certificates.issue(|params| *params = rcgen::CertificateParams::new(names).unwrap());
        },
        "localhost",
        &[
            "is for \"chat.example.org\", and not for \"localhost\"",
            "--server https://NAME",
        ],
    ),
    (
        Certificates::sign_itself,
        "localhost",
        &["signed by none that is trusted", "--ca-file"],
    ),
    // Nothing.
    (|certificates| certificates.issue(|_| ()), "127.0.0.1", &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn presencectl_says_what_is_wrong_with_a_certificate() {
    let tls = TlsDaemon::start(&[]).await;
    let ca = shown(&tls.certificates.path("ca.pem"));
    for (issue, host, parts) in BAD_CERTIFICATES {
        issue(&tls.certificates);
        // The certificate is on disk a moment before it is served; this is said when it is.
        let reloads = || tls.daemon.log().matches("reloaded the secrets").count();
        let before = reloads();
        tls.daemon.process().hang_up();
        wait_until("the reload", async || (reloads() > before).then_some(())).await;
        let text = |path| std::fs::read_to_string(path).unwrap().replace(['\r', '\n'], "");
        assert_eq!(
            text(tls.daemon.file("tls-certificate")),
            text(tls.certificates.path("cert.pem"))
        );
        let server = format!("https://{host}:{}", tls.daemon.address().port());
        for command in [&["stats"][..], &["watch", "--once"]] {
            let output = remote(&tls, &server, &[&["--ca-file", &ca], command].concat()).await;
            assert_eq!(
                output.code,
                if parts.is_empty() { 0 } else { 3 },
                "{command:?} {output:?}"
            );
            assert!(
                parts.iter().all(|part| output.err.contains(part)),
                "{parts:?} {output:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_signed_itself_is_trusted_by_its_own_file() {
    let certificates = Certificates::new();
    certificates.sign_itself();
    let own = shown(&certificates.path("cert.pem"));
    let tls = TlsDaemon::start_with(certificates, &[]).await;
    let port = tls.daemon.address().port();
    let stats = remote(
        &tls,
        &format!("https://localhost:{port}"),
        &["--ca-file", &own, "stats"],
    )
    .await;
    assert_eq!(stats.code, 0, "{stats:?}");
    let wrong = remote(
        &tls,
        &format!("https://127.0.0.2:{port}"),
        &["--ca-file", &own, "stats"],
    )
    .await;
    assert_eq!(wrong.code, 3, "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn presencectl_tells_a_plain_port_from_one_with_tls() {
    let plain = presence_tests::Daemon::start(&[]).await;
    let tls = TlsDaemon::start(&[]).await;
    let missing = remote(&tls, "https://localhost", &["--ca-file", "/nowhere", "stats"]).await;
    assert!(missing.code == 2 && missing.err.contains("/nowhere"), "{missing:?}");
    let ca = shown(&tls.certificates.path("ca.pem"));
    let port = plain.address().port();
    let output = remote(&tls, &format!("https://127.0.0.1:{port}"), &["--ca-file", &ca, "stats"]).await;
    assert!(
        output.code == 3 && output.err.contains("does not speak TLS"),
        "{output:?}"
    );
    let server = format!("http://127.0.0.1:{}", tls.daemon.address().port());
    let other = remote(&tls, &server, &["stats"]).await;
    assert!(other.code == 1 && other.err.contains("https://"), "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_a_certificate_that_expires_soon_or_has_expired() {
    let tls = TlsDaemon::start(&[]).await;
    const DAY: i64 = 24 * 60 * 60 * 1000;
    for (days, result) in [(15, "warn"), (-2, "fail"), (60, "ok")] {
        let ends = Wall::from_millis(wall_now().as_millis() + days * DAY).to_string();
        let part = |from: usize| ends[from..from + 2].parse::<u8>().unwrap();
        tls.certificates.issue(|params| {
            params.not_after = rcgen::date_time_ymd(ends[..4].parse().unwrap(), part(5), part(8));
        });
        tls.daemon.process().hang_up();
        wait_until(result, async || {
            let doctor = run(&tls.daemon, &["doctor", "-o", "json"]).await.json();
            (check(&doctor, "tls")["result"] == result).then_some(())
        })
        .await;
    }
}
