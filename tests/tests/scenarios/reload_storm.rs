//! A minute of reloads, ten a second and of every kind, while a thousand connections with TLS are open and simulated users come and go: no
//! connection is lost, nobody is told of anything, and what is bad is refused each time.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use presence_tests::certificates::{Certificates, shown};
use presence_tests::connection_load::ConnectionLoad;
use presence_tests::daemon::Setup;
use presence_tests::presencectl::run_at;
use presence_tests::rest::send;
use presence_tests::tls_tunnel::TlsTunnel;
use presence_tests::websocket::HandshakeHeaders;
use presence_tests::{Daemon, Rest, Socket};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::interval;

const CONNECTIONS: usize = 1_000;
/// A minute of them, whose last is a good one.
const RELOADS: usize = 603;
const EVERY: Duration = Duration::from_millis(100);

/// Lower than the defaults, and enough for clients that behave.
const LOW_LIMITS: &str = "max-connections = 1300\nmax-message = \"4KiB\"\nmessages-per-second = 10\nmessages-burst = 20\n\
                          bytes-burst = \"32KiB\"\nwrite-timeout = \"5s\"\nmessage-timeout = \"3s\"\nsessions-per-user = 4\n";

/// What a reload reads, and what the test changes of it.
struct Files {
    daemon: Daemon,
    certificates: Certificates,
    config: PathBuf,
    extra_key: PathBuf,
    secret: String,
}

/// A kind of reload: what is done before it, and what it says that changed; or a part of its error, and what mends that.
enum Kind {
    Good(fn(&Files, usize), &'static [&'static str]),
    Bad(fn(&Files), &'static str, fn(&Files)),
}

const KINDS: [Kind; 13] = [
    Kind::Good(
        |files, number| {
            write_private(
                &files.daemon.file("secret"),
                &format!("{}\nthe-other-secret-{number}\n", files.secret),
            );
        },
        &["secret"],
    ),
    Kind::Bad(
        |files| write_private(&files.daemon.file("secret"), "short\n"),
        "shorter than 16 bytes",
        |files| write_private(&files.daemon.file("secret"), &files.secret),
    ),
    Kind::Good(
        |files, number| {
            write_private(&files.extra_key, &format!("a further key of users' tokens {number}"));
            files.configure("10.0.0.0/8", "info", true);
        },
        &["jwt-key"],
    ),
    Kind::Bad(
        |files| {
            write_private(
                &files.extra_key,
                "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
            );
        },
        "damaged or unsupported",
        |files| files.configure("10.0.0.0/8", "info", false),
    ),
    Kind::Good(|files, _| files.certificates.issue(|_| ()), &["tls-cert"]),
    Kind::Bad(
        |files| {
            files
                .certificates
                .write("key.pem", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n");
        },
        "key.pem",
        |files| files.certificates.issue(|_| ()),
    ),
    Kind::Good(
        |files, _| files.configure_with("10.0.0.0/8", "info", false, LOW_LIMITS),
        &["max-connections", "max-message", "messages-burst", "write-timeout"],
    ),
    Kind::Bad(
        |files| std::fs::write(&files.config, "max-message = \"much\"\n").unwrap(),
        "max-message",
        |files| files.configure_with("10.0.0.0/8", "info", false, LOW_LIMITS),
    ),
    Kind::Good(
        |files, _| files.configure("10.0.0.0/8", "info", false),
        &["max-connections", "max-message", "messages-burst", "write-timeout"],
    ),
    Kind::Bad(
        |files| files.configure_with("10.0.0.0/8", "info", false, "sessions-per-user = 0\n"),
        "sessions-per-user",
        |files| files.configure("10.0.0.0/8", "info", false),
    ),
    Kind::Good(
        |files, _| files.configure("10.1.0.0/16", "warn", false),
        &["trusted-proxy", "log-level"],
    ),
    Kind::Bad(
        |files| std::fs::write(&files.config, "log-level = \"loud\"\n").unwrap(),
        "log-level",
        |files| files.configure("10.1.0.0/16", "warn", false),
    ),
    Kind::Good(
        |files, _| files.configure("10.0.0.0/8", "info", false),
        &["trusted-proxy", "log-level"],
    ),
];

/// Others read the file meanwhile: they see the old text or the new one.
fn write_private(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&new, path).unwrap();
}

impl Files {
    fn configure(&self, proxy: &str, level: &str, has_extra_key: bool) {
        self.configure_with(proxy, level, has_extra_key, "");
    }

    fn configure_with(&self, proxy: &str, level: &str, has_extra_key: bool, limits: &str) {
        let own = self.daemon.file("jwt-key");
        let text = settings(&own, has_extra_key.then_some(&self.extra_key), proxy, level);
        std::fs::write(&self.config, text + limits).unwrap();
    }
}

/// Loopback stays trusted, since the connections come from there.
fn settings(own: &Path, extra: Option<&PathBuf>, proxy: &str, level: &str) -> String {
    let keys: Vec<&Path> = std::iter::once(own).chain(extra.map(PathBuf::as_path)).collect();
    format!("jwt-key = {keys:?}\ntrusted-proxy = [\"127.0.0.1\", \"{proxy}\"]\nlog-level = \"{level}\"\n")
}

async fn start(home: &Arc<TempDir>, certificates: &Certificates, config: &PathBuf) -> Daemon {
    // Its own key is named in the file, so it must be there before the first start.
    let own = home.path().join("state").join("jwt-key");
    std::fs::create_dir_all(own.parent().unwrap()).unwrap();
    write_private(&own, "the key of users' tokens in a test\n");
    std::fs::write(config, settings(&own, None, "10.0.0.0/8", "info")).unwrap();
    let config = shown(config);
    let flags = [certificates.flags(), vec!["--config".to_owned(), config]].concat();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Setup::new(&flags).start_in(Arc::clone(home)).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a core for a minute, which the scenarios beside it need: scripts/test runs it by itself"]
async fn reloads_of_every_kind_lose_no_connection_and_cause_no_event() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let certificates = Certificates::new();
    let config = home.path().join("presenced.toml");
    let daemon = start(&home, &certificates, &config).await;
    let (address, secret) = (daemon.address(), daemon.secret());
    let extra_key = home.path().join("extra-key");
    let files = Files {
        daemon,
        certificates,
        config,
        extra_key,
        secret: secret.clone(),
    };
    let tunnel = TlsTunnel::start(address, files.certificates.client()).await;
    let rest = Rest::new(tunnel.address(), secret.clone());
    let load = ConnectionLoad::watching(tunnel.address(), 0..CONNECTIONS, 10).await;
    let mut observer = Socket::connect(tunnel.address(), HandshakeHeaders::observer(&secret))
        .await
        .unwrap();
    observer.snapshot(json!({"type": "watchAll"})).await;
    let storm = async {
        let mut ticks = interval(EVERY);
        for number in 0..RELOADS {
            ticks.tick().await;
            reload(&files, &rest, number).await;
        }
    };
    let (simulated, ()) = tokio::join!(simulate(&files, address.port()), storm);
    assert_eq!(load.open(), CONNECTIONS);
    let marker = async {
        rest.report("marker", json!({"status": "ONLINE"})).await;
        rest.report("marker", json!({"status": "OFFLINE"})).await.ok()
    };
    let told = observer.updates_before("marker", marker).await;
    let of_load: Vec<_> = told
        .iter()
        .filter(|update| update.user_id().as_str().starts_with("load-"))
        .collect();
    assert!(of_load.is_empty(), "{of_load:?}");
    assert!(told.len() > 100, "the simulated users come and go");
    assert_eq!(simulated["unexpectedOffline"], 0, "{simulated}");
    let stats = rest.stats().await;
    assert_eq!(stats.reload.and_then(|reload| reload.error), None);
}

/// Users who come and go over TLS, each by a token of the key that stays. What the tool tells of them.
async fn simulate(files: &Files, port: u16) -> Value {
    let home = files.certificates.path("");
    let server = format!("https://localhost:{port}");
    let ca = shown(&files.certificates.path("ca.pem"));
    let secret = shown(&files.certificates.write("secret", &files.secret));
    let target = ["--server", &server, "--ca-file", &ca, "--secret-file", &secret];
    let load = [
        "simulate",
        "--users",
        "100",
        "--rate",
        "10",
        "--duration",
        "40s",
        "-o",
        "json",
    ];
    let output = run_at(&home, &[&target[..], &load].concat()).await;
    assert_eq!(output.code, 0, "{output:?}");
    output.json()
}

async fn reload(files: &Files, rest: &Rest, number: usize) {
    let ask = async || send(rest.internal(Method::POST, "/api/reload")).await;
    match &KINDS[number % KINDS.len()] {
        Kind::Good(change, changed) => {
            change(files, number);
            let answer = ask().await;
            assert_eq!(answer.status, 200, "{number}: {}", answer.body);
            for name in *changed {
                assert!(
                    answer.body["changed"].to_string().contains(name),
                    "{number}: {}",
                    answer.body
                );
            }
        }
        Kind::Bad(spoil, part, mend) => {
            spoil(files);
            let answer = ask().await;
            answer.rejected(409, "reload_failed");
            assert!(answer.body.to_string().contains(part), "{number}: {}", answer.body);
            mend(files);
        }
    }
}
