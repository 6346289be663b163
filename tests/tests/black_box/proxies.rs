//! The recipes in `deploy/proxies`, each run by the proxy that it is for, in front of a daemon.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use presence::Status;
use presence::wire::record::Record;
use presence::wire::server_message::ServerMessage;
use presence_tests::daemon::Setup;
use presence_tests::jwt::{claims, hs256};
use presence_tests::raw_client::Response;
use presence_tests::recording_upstream::RecordingUpstream;
use presence_tests::rest::{Answer, send};
use presence_tests::reverse_proxy::ProxyKind::{self, Apache, Caddy, Haproxy, Nginx};
use presence_tests::reverse_proxy::{HOST, ReverseProxy, Silence};
use presence_tests::wait::let_time_pass;
use presence_tests::websocket::{ConnectionEnd, HandshakeError, HandshakeHeaders};
use presence_tests::{Daemon, RawClient, Rest, Socket, wait_until};
use reqwest::Method;
use serde_json::json;

/// Another address of this machine than that of the proxies.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// The name under which clients know the proxy is one of the daemon's.
const ORIGIN: [&str; 2] = ["--allowed-origin", "https://presence.example.org"];
/// The daemon believes what the proxies say of their clients, and no other address of loopback.
const TRUSTED: [&str; 2] = ["--trusted-proxy", "127.0.0.1"];

fn token(daemon: &Daemon, user: &str) -> String {
    hs256(&daemon.jwt_key(), &claims(user, 3_600))
}

async fn socket(daemon: &Daemon, proxy: &ReverseProxy, user: &str) -> Socket {
    let headers = HandshakeHeaders::bearer(&token(daemon, user));
    Socket::connect(proxy.address(), headers).await.unwrap()
}

/// What users do, through the proxy.
async fn lets_users_through(kind: ProxyKind) {
    let daemon = Daemon::start(&[TRUSTED, ORIGIN].concat()).await;
    let proxy = ReverseProxy::start(kind, daemon.address(), Silence::AsInTheRecipe);
    let mut bob = socket(&daemon, &proxy, "bob").await;
    bob.watch(&["a/explain"]).await;
    let alice = socket(&daemon, &proxy, "a/explain").await;
    bob.wait_for_status("a/explain", Status::Online).await;
    let rest = Rest::new(proxy.address(), String::new());
    let of_alice = token(&daemon, "a/explain");
    let put = rest
        .request(Method::PUT, "/api/user/custom-status")
        .bearer_auth(&of_alice);
    send(put.json(&json!({"customStatus": "IDLE"}))).await.ok::<Record>();
    bob.wait_for_status("a/explain", Status::Idle).await;
    let query = rest.request(Method::POST, "/api/presence/query").bearer_auth(&of_alice);
    assert_eq!(send(query.json(&json!({"userIds": ["bob"]}))).await.status, 200);
    let lookup = rest
        .request(Method::GET, "/api/presence/a%2Fexplain")
        .bearer_auth(&of_alice);
    let answer = send(lookup.header("x-request-id", "7")).await;
    assert_eq!(
        answer.header("x-request-id"),
        Some("7"),
        "the id of a request passes both ways"
    );
    assert_eq!(answer.ok::<Record>().status, Status::Idle);
    let by_name = rest.request(Method::GET, "/api/presence/bob").bearer_auth(&of_alice);
    assert_eq!(
        send(by_name.header("host", HOST)).await.status,
        200,
        "the host is that of the client"
    );
    assert!(matches!(alice.close(Some(1000)).await, ConnectionEnd::Closed(1000, _)));
    bob.wait_for_status("a/explain", Status::Offline).await;
}

async fn get(proxy: &ReverseProxy, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n", proxy.address());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut raw = RawClient::connect(proxy.address()).await;
    raw.send(request + "\r\n").await;
    raw.response().await
}

/// Calls of others than users can't be reached, however their paths are written.
async fn lets_no_other_call_through(kind: ProxyKind) {
    let daemon = Daemon::start(&TRUSTED).await;
    let proxy = ReverseProxy::start(kind, daemon.address(), Silence::AsInTheRecipe);
    let secret = daemon.secret();
    for path in [
        "/metrics",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/api/stats",
        "/api/nodes",
        "/api/presence",
        "/api/presence/",
        "/api/presence/alice/explain",
        "/api/presence/alice/sessions",
        "/api/presence/alice/revocation",
        "/api/user/realtime",
        "/api/user/alice",
        "/api/reports/gateway",
        "//metrics",
        "/ws/../metrics",
        "/%6detrics",
        "/api/presence/../stats",
        "/api/presence/x/../../stats",
    ] {
        let response = get(&proxy, path, &[("x-secret-token", &secret)]).await;
        let of_proxy = (404, String::new());
        assert_eq!(
            (response.status, response.code()),
            of_proxy,
            "{path}: {}",
            response.body
        );
    }
}

/// No client names the user that it is, nor has the secret, in whatever spelling: the daemon would believe the proxy.
async fn lets_no_identity_through(kind: ProxyKind) {
    let daemon = Daemon::start(&TRUSTED).await;
    let proxy = ReverseProxy::start(kind, daemon.address(), Silence::AsInTheRecipe);
    let secret = daemon.secret();
    for (name, value) in [
        ("x-secret-token", secret.as_str()),
        ("X-SECRET-TOKEN", &secret),
        ("X_Secret_Token", &secret),
        ("x-user-id", "alice"),
        ("X-User-Id", "alice"),
        ("x_user_id", "alice"),
        ("x-user-id-encoded", "alice"),
    ] {
        // Names with underscores are refused by Apache itself.
        let refused = match (kind, name.contains('_')) {
            (Apache, true) => (400, String::new()),
            _ => (401, "unauthenticated".to_owned()),
        };
        let response = get(&proxy, "/api/presence/alice", &[(name, value)]).await;
        assert_eq!((response.status, response.code()), refused, "{name}");
        let headers = HandshakeHeaders::default().with(name, value.as_bytes());
        let rejected = Socket::connect(proxy.address(), headers).await.err();
        assert_eq!(rejected, Some(HandshakeError::Http(refused.0, refused.1)), "{name}");
    }
    // Unless it is removed, one that differs from the token's user is an error.
    let bearer = format!("Bearer {}", token(&daemon, "bob"));
    let beside = [("authorization", bearer.as_str()), ("x-user-id", "alice")];
    let response = get(&proxy, "/api/presence/alice", &beside).await;
    assert_eq!(response.status, 200, "{}", response.body);
}

/// A path passes as it was sent; of what a client says of itself nothing passes, and what the proxy knows of it always does.
async fn replaces_what_clients_say_of_themselves(kind: ProxyKind) {
    let upstream = RecordingUpstream::start().await;
    let proxy = ReverseProxy::start(kind, upstream.address(), Silence::AsInTheRecipe);
    let said = [
        "x-forwarded-for: 203.0.113.1",
        "X-Forwarded-For: 203.0.113.1",
        "x-forwarded-host: forged.example",
        "x-forwarded-port: 203",
        "x-forwarded-server: forged.example",
        "forwarded: for=203.0.113.1;host=forged.example",
        "x-real-ip: 203.0.113.1",
        "x-user-id: forged",
        "x-user-id-encoded: forged",
        "x-secret-token: forged",
        "x-node-token: forged",
    ];
    // The second one has the proxy drop what it adds itself, as a header that is for the next server alone.
    for (path, connection) in [
        ("/api/presence/%61%2Fb%3F+c?x=%20y", "close"),
        ("/api/presence/second", "close, x-forwarded-for"),
    ] {
        let mut raw = RawClient::connect_from(CLIENT, proxy.address()).await;
        let (host, said) = (proxy.address(), said.join("\r\n"));
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: {connection}\r\n{said}\r\n\r\n");
        raw.send(request).await;
        assert_eq!(raw.response().await.status, 200, "{path}");
        let head = upstream.head_with(&format!("GET {path} HTTP/1.1\r\n")).await;
        assert!(!head.contains("203") && !head.contains("forged"), "{head}");
        let of_client = format!("x-forwarded-for: {CLIENT}");
        let lines: Vec<_> = head
            .lines()
            .filter(|line| line.eq_ignore_ascii_case(&of_client))
            .collect();
        assert_eq!(lines.len(), 1, "{head}");
    }
    for name in [
        "X_Forwarded_For",
        "X_User_Id",
        "x-user_id",
        "x_secret_token",
        "X-Secret_Token",
        "x-node_token",
    ] {
        let path = format!("/api/presence/{name}");
        let response = get(&proxy, &path, &[(name, "forged")]).await;
        // Apache can't remove them by a pattern.
        assert_eq!(response.status, if kind == Apache { 400 } else { 200 }, "{name}");
        if kind != Apache {
            let head = upstream.head_with(&path).await;
            assert!(!head.contains("forged"), "{head}");
        }
    }
}

/// Logs in with a wrong token from this address, and pretends to come from another one.
async fn log_in_wrongly(proxy: &ReverseProxy, from: IpAddr, pretended: &str) -> u16 {
    let mut raw = RawClient::connect_from(from, proxy.address()).await;
    raw.send(format!(
        "GET /api/presence/alice HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer wrong\r\nx-forwarded-for: {pretended}\r\n\
         forwarded: for={pretended}\r\nx-real-ip: {pretended}\r\n\r\n",
        proxy.address()
    ))
    .await;
    raw.response().await.status
}

/// Limits of one address are those of the client's, and not of what it says, nor of the proxy's.
async fn tells_the_clients_address(kind: ProxyKind) {
    let daemon = Daemon::start(&[&TRUSTED[..], &["--failed-logins-per-minute", "3"]].concat()).await;
    let proxy = ReverseProxy::start(kind, daemon.address(), Silence::AsInTheRecipe);
    let mut statuses = Vec::new();
    for pretended in ["203.0.113.1", "203.0.113.2", "127.0.0.1", "203.0.113.3"] {
        statuses.push(log_in_wrongly(&proxy, CLIENT, pretended).await);
    }
    assert_eq!(statuses, [403, 403, 403, 429]);
    assert_eq!(
        log_in_wrongly(&proxy, IpAddr::from([127, 0, 0, 3]), "127.0.0.2").await,
        403,
        "another client"
    );
}

/// A WebSocket on which nobody says anything outlives the proxy's timeout, thanks to the daemon's pings. The timeouts of both are
/// those of the recipe and the default, shortened alike; a busy machine has over a second to answer a ping.
async fn keeps_silent_websockets(kind: ProxyKind) {
    let timeout = Duration::from_secs(5);
    let flags = ["--ping-interval", "1500ms", "--ping-timeout", "1400ms"];
    let pinging = Daemon::start(&[&TRUSTED[..], &flags].concat()).await;
    let silent = Daemon::start(&[&TRUSTED[..], &["--ping-interval", "60s"]].concat()).await;
    let start = |daemon: &Daemon| ReverseProxy::start(kind, daemon.address(), Silence::Seconds(5));
    let (to_pinging, to_silent) = (start(&pinging), start(&silent));
    let mut alice = socket(&pinging, &to_pinging, "alice").await;
    let mut bob = socket(&silent, &to_silent, "bob").await;
    let outlives = async {
        let_time_pass(timeout * 2).await;
        let answer = alice.ask(json!({"type": "ping"})).await;
        assert!(matches!(answer, ServerMessage::Pong { .. }), "{answer:?}");
    };
    // Caddy has no timeout of upgraded connections.
    let is_cut = async {
        if kind != Caddy {
            assert_eq!(bob.ended().await, ConnectionEnd::Lost, "without pings");
        }
    };
    tokio::join!(outlives, is_cut);
}

async fn look_up(daemon: &Daemon, proxy: &ReverseProxy) -> Answer {
    let rest = Rest::new(proxy.address(), String::new());
    let lookup = rest.request(Method::GET, "/api/presence/alice");
    send(lookup.bearer_auth(token(daemon, "alice"))).await
}

/// A proxy with health checks sends nobody to a node that is not ready, though it would answer.
async fn takes_a_node_out_that_is_not_ready(kind: ProxyKind) {
    let daemon = Daemon::start(&TRUSTED).await;
    let proxy = ReverseProxy::start(kind, daemon.address(), Silence::AsInTheRecipe);
    wait_until("the node is found ready", async || {
        (look_up(&daemon, &proxy).await.status == 200).then_some(())
    })
    .await;
    let lock = daemon.lock_database().await;
    daemon
        .rest()
        .set_custom_status("alice", "IDLE")
        .await
        .rejected(503, "store_unavailable");
    wait_until("the node is taken out", async || {
        let answer = look_up(&daemon, &proxy).await;
        // The proxy's own answer.
        (answer.status == 503 && answer.code().is_empty()).then_some(())
    })
    .await;
    assert_eq!(
        daemon.rest().record("alice").await.status,
        Status::Offline,
        "the daemon answers"
    );
    drop(lock);
    wait_until("the node is used again", async || {
        (look_up(&daemon, &proxy).await.status == 200).then_some(())
    })
    .await;
}

/// A proxy without health checks learns from requests that fail, and goes on when the node is back.
async fn goes_on_when_a_node_is_back(kind: ProxyKind) {
    let mut daemon = Setup::new(&TRUSTED).on_fixed_port().start().await;
    let proxy = ReverseProxy::start(kind, daemon.address(), Silence::AsInTheRecipe);
    assert_eq!(look_up(&daemon, &proxy).await.status, 200);
    daemon.terminate().await;
    let away = look_up(&daemon, &proxy).await;
    assert!([502, 503].contains(&away.status), "{}", away.status);
    daemon.start_again().await;
    wait_until("the node is used again", async || {
        (look_up(&daemon, &proxy).await.status == 200).then_some(())
    })
    .await;
}

#[test]
fn the_recipes_are_accepted_as_they_stand_with_tls() {
    for kind in [Nginx, Haproxy, Caddy, Apache] {
        kind.check_recipe();
    }
}

macro_rules! tests {
    ($($name:ident: $check:ident($kind:ident);)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            $check($kind).await;
        }
    )*};
}

tests! {
    nginx_lets_users_through: lets_users_through(Nginx);
    haproxy_lets_users_through: lets_users_through(Haproxy);
    caddy_lets_users_through: lets_users_through(Caddy);
    apache_lets_users_through: lets_users_through(Apache);
    nginx_lets_no_other_call_through: lets_no_other_call_through(Nginx);
    nginx_lets_no_identity_through: lets_no_identity_through(Nginx);
    haproxy_lets_no_other_call_through: lets_no_other_call_through(Haproxy);
    haproxy_lets_no_identity_through: lets_no_identity_through(Haproxy);
    caddy_lets_no_other_call_through: lets_no_other_call_through(Caddy);
    caddy_lets_no_identity_through: lets_no_identity_through(Caddy);
    apache_lets_no_other_call_through: lets_no_other_call_through(Apache);
    apache_lets_no_identity_through: lets_no_identity_through(Apache);
    nginx_replaces_what_clients_say_of_themselves: replaces_what_clients_say_of_themselves(Nginx);
    nginx_tells_the_clients_address: tells_the_clients_address(Nginx);
    haproxy_replaces_what_clients_say_of_themselves: replaces_what_clients_say_of_themselves(Haproxy);
    haproxy_tells_the_clients_address: tells_the_clients_address(Haproxy);
    caddy_replaces_what_clients_say_of_themselves: replaces_what_clients_say_of_themselves(Caddy);
    caddy_tells_the_clients_address: tells_the_clients_address(Caddy);
    apache_replaces_what_clients_say_of_themselves: replaces_what_clients_say_of_themselves(Apache);
    apache_tells_the_clients_address: tells_the_clients_address(Apache);
    nginx_keeps_silent_websockets: keeps_silent_websockets(Nginx);
    haproxy_keeps_silent_websockets: keeps_silent_websockets(Haproxy);
    caddy_keeps_silent_websockets: keeps_silent_websockets(Caddy);
    apache_keeps_silent_websockets: keeps_silent_websockets(Apache);
    haproxy_takes_a_node_out_that_is_not_ready: takes_a_node_out_that_is_not_ready(Haproxy);
    caddy_takes_a_node_out_that_is_not_ready: takes_a_node_out_that_is_not_ready(Caddy);
    nginx_goes_on_when_a_node_is_back: goes_on_when_a_node_is_back(Nginx);
    apache_goes_on_when_a_node_is_back: goes_on_when_a_node_is_back(Apache);
}
