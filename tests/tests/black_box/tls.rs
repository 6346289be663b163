//! The listeners with TLS: what is served over it, the rules for slow and silent clients, and the certificate's replacement.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use presence::Status;
use presence::wire::record::Update;
use presence::wire::rest::ReloadStats;
use presence::wire::server_message::ServerMessage;
use presence_tests::certificates::Certificates;
use presence_tests::connection_load::slow_reader;
use presence_tests::daemon::Setup;
use presence_tests::tls_tunnel::TlsTunnel;
use presence_tests::wait::within_deadline;
use presence_tests::websocket::{HandshakeError, HandshakeHeaders};
use presence_tests::{Daemon, RawClient, Rest, Socket, wait_until};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ALL_VERSIONS, ProtocolVersion};

/// A daemon with TLS, and a port that leads to it for clients without.
pub(super) struct TlsDaemon {
    pub(super) daemon: Daemon,
    pub(super) certificates: Certificates,
    pub(super) tunnel: TlsTunnel,
}

impl TlsDaemon {
    pub(super) async fn start(flags: &[&str]) -> Self {
        Self::start_with(Certificates::new(), flags).await
    }

    pub(super) async fn start_with(certificates: Certificates, flags: &[&str]) -> Self {
        let own = certificates.flags();
        let all: Vec<&str> = own.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        let daemon = Daemon::start(&all).await;
        let tunnel = TlsTunnel::start(daemon.address(), certificates.client()).await;
        Self {
            daemon,
            certificates,
            tunnel,
        }
    }

    pub(super) fn rest(&self) -> Rest {
        Rest::new(self.tunnel.address(), self.daemon.secret())
    }

    pub(super) async fn socket(&self, user: &str) -> Socket {
        Socket::connect(self.tunnel.address(), HandshakeHeaders::user(user))
            .await
            .unwrap()
    }

    /// Does a handshake as the usual client.
    pub(super) async fn connect(&self) -> TlsStream<TcpStream> {
        handshake(&self.certificates, self.daemon.address()).await.unwrap()
    }

    async fn reload(&self) -> ReloadStats {
        let rest = self.rest();
        let before = rest.stats().await.reload.map(|reload| reload.at);
        self.daemon.process().hang_up();
        wait_until("the daemon reloads", async || {
            let last = rest.try_stats().await.and_then(|stats| stats.reload);
            last.filter(|reload| Some(reload.at) != before)
        })
        .await
    }
}

pub(super) async fn handshake(
    certificates: &Certificates,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    within_deadline("the handshake", certificates.client().connect(name, tcp)).await
}

async fn is_served(stream: &mut TlsStream<TcpStream>) -> bool {
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut head = [0; 15];
    let exchange = async {
        stream.write_all(request).await?;
        stream.flush().await?;
        stream.read_exact(&mut head).await
    };
    within_deadline("an answer", exchange).await.is_ok() && head == *b"HTTP/1.1 200 OK"
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_and_websockets_are_served_over_tls_1_2_and_1_3() {
    let tls = TlsDaemon::start(&[]).await;
    let address = std::fs::read_to_string(tls.daemon.file("address")).unwrap();
    assert_eq!(address.trim(), format!("https://{}", tls.daemon.address()));
    for (version, number) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let connector = tls.certificates.connector(&[version], &["h2", "http/1.1"]);
        let tcp = TcpStream::connect(tls.daemon.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, tcp).await.unwrap();
        let (_, session) = stream.get_ref();
        assert_eq!(session.protocol_version(), Some(number));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert!(is_served(&mut stream).await, "{number:?}");

        let tunnel = TlsTunnel::start(tls.daemon.address(), tls.certificates.connector(&[version], &[])).await;
        let user = format!("{number:?}");
        let mut bob = tls.socket("bob").await;
        bob.watch(&[&user]).await;
        let mut alice = Socket::connect(tunnel.address(), HandshakeHeaders::user(&user))
            .await
            .unwrap();
        bob.wait_for_status(&user, Status::Online).await;
        alice.set_custom_status("DO_NOT_DISTURB").await;
        bob.wait_for_status(&user, Status::DoNotDisturb).await;
        // A snapshot of many frames, and a long listing.
        let all: Vec<String> = (0..900).map(|number| format!("{user}-{number}")).collect();
        assert_eq!(alice.watch(&all).await.users.len(), all.len());
        let rest = Rest::new(tunnel.address(), tls.daemon.secret());
        assert_eq!(rest.query(&all).await.status, 200);
    }
    let other = tls.certificates.connector(ALL_VERSIONS, &["h2"]);
    let tcp = TcpStream::connect(tls.daemon.address()).await.unwrap();
    let error = other
        .connect(ServerName::try_from("localhost").unwrap(), tcp)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_listener_speaks_tls_too() {
    let port = presence_tests::ports::free_port();
    let listen = format!("127.0.0.1:{port}");
    let tls = TlsDaemon::start(&["--metrics-listen", &listen]).await;
    let metrics = TlsTunnel::start(listen.parse().unwrap(), tls.certificates.client()).await;
    let text = Rest::new(metrics.address(), tls.daemon.secret()).metrics().await;
    for name in [
        "presenced_tls_handshakes_total",
        "presenced_tls_certificate_expires_timestamp_seconds",
    ] {
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        assert!(value.is_some_and(|value| value.trim() != "0"), "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_own_https_address_may_call() {
    let tls = TlsDaemon::start(&[]).await;
    let upgrade = async |origin: &str| {
        let mut raw = RawClient::connect(tls.tunnel.address()).await;
        raw.upgrade("/ws", &[("x-user-id", "alice"), ("origin", origin)])
            .await
            .status
    };
    let own = tls.daemon.address();
    assert_eq!(upgrade(&format!("https://{own}")).await, 101);
    assert_eq!(upgrade(&format!("https://localhost:{}", own.port())).await, 101);
    assert_eq!(upgrade(&format!("http://{own}")).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_page_works_over_tls() {
    let tls = TlsDaemon::start(&["--demo"]).await;
    let page = tls.rest().get("/demo").await;
    assert_eq!(page.status, 200);
    let own = tls.daemon.address();
    let mut raw = RawClient::connect(tls.tunnel.address()).await;
    let origin = format!("https://{own}");
    raw.send(format!(
        "POST /demo/token HTTP/1.1\r\nhost: {own}\r\norigin: {origin}\r\ncontent-type: application/json\r\n\
         content-length: 18\r\n\r\n{{\"userId\":\"alice\"}}"
    ))
    .await;
    let response = raw.response().await;
    assert_eq!(response.status, 200, "{} {}", response.head, response.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_tls_that_stops_reading_is_closed_and_others_are_served() {
    let tls = TlsDaemon::start(&["--write-timeout", "3s", "--message-timeout", "1s", "--grace", "0s"]).await;
    let rest = tls.rest();
    let mut bob = tls.socket("bob").await;
    let names: Vec<String> = (0..4).map(|index| format!("reader-{index}")).collect();
    bob.watch(&names).await;
    let before = tls.daemon.process().resident_bytes();
    let readers = join_all(names.iter().map(|name| slow_reader(tls.tunnel.address(), name))).await;
    let cost = tls.daemon.process().resident_bytes().saturating_sub(before);
    assert!(cost < 24 << 20, "{cost} bytes for {} of them", names.len());
    let mut gone = 0;
    while gone < names.len() {
        let pong = bob.ask(json!({"type": "ping"})).await;
        assert!(matches!(pong, ServerMessage::Pong { .. }), "others are served");
        let updates = bob.next_updates().await;
        let offline = |update: &&Update| matches!(update, Update::Record(record) if record.status == Status::Offline);
        gone += updates.iter().filter(offline).count();
    }
    let counted = |line: &str| !line.starts_with('#') && line.contains("slow") && line.ends_with(" 4");
    wait_until("all are counted as slow", async || {
        rest.metrics().await.lines().any(counted).then_some(())
    })
    .await;
    drop(readers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_tls_that_falls_silent_is_lost_in_time() {
    let tls = TlsDaemon::start(&["--ping-interval", "2s", "--ping-timeout", "1s", "--grace", "0s"]).await;
    let mut bob = tls.socket("bob").await;
    bob.watch(&["alice"]).await;
    let mut alice = RawClient::user(tls.tunnel.address(), "alice").await;
    assert!(alice.is_served().await);
    // It takes the ping, which it does not answer.
    let told = bob.wait_for_status("alice", Status::Offline).await;
    let lasted = told.since.unwrap().since(told.last_seen.unwrap());
    assert!(lasted <= Duration::from_millis(4_500), "{lasted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_frame_over_tls_arrives_and_nothing_is_cut_off() {
    let mut tls = TlsDaemon::start(&[]).await;
    let mut alice = tls.socket("alice").await;
    let mut idle = tls.connect().await;
    assert!(is_served(&mut idle).await);
    assert!(tls.daemon.terminate().await.success());
    assert_eq!(alice.goodbye().await.0, 1012);
    // The end of an idle connection is its close_notify: without it this is an error.
    let mut rest = Vec::new();
    within_deadline("the end", idle.read_to_end(&mut rest)).await.unwrap();
}

/// Makes the files unusable.
type Spoil<'a> = dyn Fn(&Certificates) + 'a;

#[tokio::test(flavor = "multi_thread")]
async fn a_reloaded_certificate_serves_new_connections_and_old_ones_stay() {
    let tls = TlsDaemon::start(&[]).await;
    let mut alice = tls.socket("alice").await;
    let before = tls.rest().stats().await.tls.unwrap();
    let own = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let first = own(&tls.connect().await);
    tls.certificates
        .issue(|params| params.not_after = rcgen::date_time_ymd(2090, 1, 1));
    assert_eq!(tls.reload().await.error, None);
    let second = own(&tls.connect().await);
    assert_ne!(first, second);
    let after = tls.rest().stats().await.tls.unwrap();
    assert_eq!(after.expires_at.to_string(), "2090-01-01T00:00:00.000Z");
    assert_ne!(before, after);
    alice.set_custom_status("IDLE").await;

    let other = Certificates::new();
    let cases: [(&str, &Spoil); 5] = [
        ("--tls-key", &|own| {
            let key = std::fs::read_to_string(other.path("key.pem")).unwrap();
            own.write("key.pem", &key);
        }),
        ("--tls-cert", &|own| drop(own.write("cert.pem", "no certificate"))),
        ("--tls-cert", &|own| std::fs::remove_file(own.path("cert.pem")).unwrap()),
        ("--tls-key", &|own| drop(own.write("key.pem", ""))),
        ("--tls-key", &|own| {
            std::fs::set_permissions(own.path("key.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
        }),
    ];
    for (flag, spoil) in cases {
        tls.certificates.issue(|_| ());
        spoil(&tls.certificates);
        let error = tls.reload().await.error.unwrap();
        assert!(error.starts_with(flag) && !error.contains('\n'), "{error}");
        assert_eq!(own(&tls.connect().await), second, "{error}: the old one stays");
    }
    alice.set_custom_status("ONLINE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_do_not_fit_keep_the_daemon_from_starting() {
    let certificates = Certificates::new();
    let [_, certificate, _, key] = certificates.flags().try_into().unwrap();
    let other = Certificates::new();
    let [.., other_key] = <[String; 4]>::try_from(other.flags()).unwrap();
    let home = Arc::new(tempfile::tempdir().unwrap());
    for (flags, code, part) in [
        (vec!["--tls-cert", &certificate], 2, "of no use without --tls-key"),
        (
            vec!["--tls-cert", &certificate, "--tls-key", &other_key],
            1,
            "is not the key of the first certificate",
        ),
        (vec!["--tls-cert", &key, "--tls-key", &key], 1, "holds no certificate"),
        (vec!["--tls-cert", "/nowhere", "--tls-key", &key], 1, "--tls-cert"),
    ] {
        let failure = Daemon::start_failure(&home, &flags).await;
        assert_eq!(failure.status.code(), Some(code), "{failure:?}");
        assert!(failure.stderr.lines().last().unwrap().contains(part), "{failure:?}");
    }
    // Others may reach it then.
    let flags = certificates.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let open = Setup::new(&flags).listening_on("0.0.0.0:0").start().await;
    assert!(!open.log().contains("clear text"), "{}", open.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_served_and_the_log_says_so() {
    let certificates = Certificates::new();
    certificates.issue(|params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let tls = TlsDaemon::start_with(certificates, &[]).await;
    wait_until("the log says so", async || {
        tls.daemon
            .log()
            .contains("has expired: clients refuse it")
            .then_some(())
    })
    .await;
    let refused = Socket::connect(tls.tunnel.address(), HandshakeHeaders::user("alice")).await;
    assert!(matches!(refused, Err(HandshakeError::Unreachable)), "{refused:?}");
}
