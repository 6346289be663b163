//! Connection limit, permits, and the rate limit of handshakes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use presence::{Rate, Wall};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fixture::{DEADLINE, HELLO, ServerFixture, pause, times, within};
use crate::auth::{Auth, fixture as auth};
use crate::clock::Clock;
use crate::limits::{CurrentLimits, Limits};
use crate::server::http_stream::HttpStream;
use crate::server::problem::ApiError;
use crate::server::{Admission, ConnectionBounds, ConnectionLimit, Drained, RequestOrder, ServerMetrics};

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let server = ServerFixture::start(Limits::default());
    let mut client = server.connect().await;
    assert!(client.ask("/order").await.ends_with("First 127.0.0.1"));
    assert!(client.ask("/order").await.ends_with("Later 127.0.0.1"));
    client.send(&HELLO.repeat(3)).await;
    server.until_open(1).await;
    drop(client);
    server.until_open(0).await;
    assert_eq!(server.metrics.connections.get(), 0);
}

#[tokio::test]
async fn beyond_the_connection_limit_connections_get_an_error() {
    let server = ServerFixture::start(Limits {
        max_connections: Some(2),
        ..Limits::default()
    });
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    assert!(first.ask("/hello").await.ends_with("hello"));
    assert!(second.ask("/hello").await.ends_with("hello"));
    let mut asking = server.connect().await;
    let answer = asking.ask("/hello").await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("at_capacity"),
        "{answer}"
    );
    assert_eq!(asking.until_closed().await, b"");
    let mut silent = server.connect().await;
    assert!(
        String::from_utf8(silent.until_closed().await)
            .unwrap()
            .contains("at_capacity")
    );
    drop(first);
    server.until_open(1).await;
    assert!(server.connect().await.ask("/hello").await.ends_with("hello"));
}

#[tokio::test]
async fn a_storm_beyond_the_connection_limit_gets_errors_too() {
    let server = ServerFixture::start(Limits {
        max_connections: Some(0),
        handshakes: Limits::default().bytes,
        ..Limits::default()
    });
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(server.connect().await);
    }
    for client in &mut clients {
        assert!(client.until_closed().await.starts_with(b"HTTP/1.1 503 "));
    }
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_permit_until_it_ends() {
    let mut server = ServerFixture::start(times(500, 100));
    let mut client = server.connect().await;
    let upgrade = "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    client.send(upgrade).await;
    assert!(client.response().await.starts_with("HTTP/1.1 101"));
    let (upgraded, permit) = within(server.upgraded.recv()).await.unwrap();
    let stream = upgraded
        .downcast::<hyper_util::rt::TokioIo<HttpStream>>()
        .map(|parts| parts.io.into_inner().into_parts());
    let (mut stream, unsent) = stream.expect("the socket itself");
    assert!(unsent.is_empty());
    // Meanwhile other connections are dropped by the time limits of HTTP.
    for _ in 0..4 {
        server.connect().await.until_closed().await;
    }
    server.until_open(1).await;
    stream.write_all(b"still here").await.unwrap();
    let mut text = [0; 10];
    within(client.0.read_exact(&mut text)).await.unwrap();
    assert_eq!(
        server.server.stop(DEADLINE).await,
        Drained::All,
        "it has left the server"
    );
    assert_eq!(server.connection_limit.open(), 1);
    drop(permit);
    assert_eq!(server.connection_limit.open(), 0);
}

#[tokio::test]
async fn too_many_handshakes_of_an_address_are_rate_limited() {
    let server = ServerFixture::start(Limits {
        handshakes: Rate {
            amount: 1,
            period: Duration::from_secs(60),
            burst: 3,
        },
        ..Limits::default()
    });
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(server.connect().await);
    }
    for client in &mut clients {
        assert!(
            client.ask("/hello").await.ends_with("hello"),
            "requests are not handshakes"
        );
        assert!(client.ask("/hello").await.ends_with("hello"));
    }
    let answer = server.connect().await.ask("/hello").await;
    assert!(
        answer.starts_with("HTTP/1.1 429 ") && answer.contains("rate_limited"),
        "{answer}"
    );
    let wait = answer
        .split("retry-after: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next());
    let wait: u64 = wait.and_then(|seconds| seconds.parse().ok()).unwrap();
    // The first handshake of three was a moment ago.
    assert!((30..=60).contains(&wait), "{answer}");
}

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

/// Trusts [`PROXY`].
fn admission(limits: &Limits, clock: &Arc<Clock>, registry: &mut Registry) -> Admission {
    let auth = Arc::new(Auth::for_tests("secret", "192.0.2.9/32", "https://a.example"));
    Admission::new(
        CurrentLimits::new(limits.clone()),
        auth,
        Arc::clone(clock),
        ServerMetrics::register(registry),
    )
}

/// Headers of a request that the proxy passes on for this client.
fn passed_on_for(client: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", client.parse().expect("a header"));
    headers
}

#[test]
fn each_client_of_a_proxy_has_a_bound_and_the_proxy_has_none() {
    let (clock, mut registry) = (Arc::new(Clock::new()), Registry::default());
    let admission = admission(&Limits::default(), &clock, &mut registry);
    assert_eq!(admission.limited_address(PROXY), None);
    assert_eq!(admission.limited_address(CLIENT), Some(CLIENT));
    let bounds = ConnectionBounds {
        per_address: 1,
        ..ConnectionBounds::only(100)
    };
    let connection_limit = ConnectionLimit::new(bounds, Gauge::default());
    let mut held = Vec::new();
    let mut upgrade = |headers: &HeaderMap| {
        held.push(connection_limit.acquire(None, clock.mono()).expect("a permit"));
        let permit = held.last().expect("a permit");
        let admitted = admission.admit_websocket(permit, PROXY, headers);
        admitted.map_err(|error| error.status().as_u16())
    };
    assert_eq!(upgrade(&passed_on_for("198.51.100.7")), Ok(()));
    assert_eq!(upgrade(&passed_on_for("198.51.100.7")), Err(503));
    assert_eq!(upgrade(&passed_on_for("198.51.100.8")), Ok(()));
    for _ in 0..3 {
        assert_eq!(upgrade(&HeaderMap::new()), Ok(()), "the proxy's own");
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("metrics");
    let counted = text
        .lines()
        .filter(|line| line.starts_with("door_refused_total") && line.ends_with(" 1"));
    assert_eq!(counted.count(), 1, "{text}");
}

#[test]
fn failed_logins_are_counted_for_the_client_and_never_for_its_proxy() {
    let clock = Arc::new(Clock::manual(Wall::from_millis(1_800_000_000_000)));
    let admission = admission(&Limits::default(), &clock, &mut Registry::default());
    let log_in = |peer: IpAddr, mut headers: HeaderMap| {
        headers.insert("x-secret-token", "wrong".parse().expect("a header"));
        let refused = admission
            .authenticate(peer, &headers, None)
            .expect_err("a wrong secret");
        refused.status().as_u16()
    };
    for (peer, headers, eleventh) in [
        (PROXY, HeaderMap::new(), 403),
        (PROXY, passed_on_for("198.51.100.8"), 429),
        (PROXY, passed_on_for("198.51.100.9"), 429),
        (CLIENT, HeaderMap::new(), 429),
    ] {
        for _ in 0..10 {
            assert_eq!(log_in(peer, headers.clone()), 403);
        }
        assert_eq!(log_in(peer, headers), eleventh, "{peer}");
    }
}

#[test]
fn handshakes_are_counted_for_the_client_and_never_for_its_proxy() {
    let clock = Arc::new(Clock::manual(Wall::from_millis(1_800_000_000_000)));
    let limits = Limits {
        handshakes: Rate {
            amount: 1,
            period: Duration::from_secs(60),
            burst: 3,
        },
        ..Limits::default()
    };
    let admission = admission(&limits, &clock, &mut Registry::default());
    let status = |admitted: Result<(), ApiError>| admitted.map_err(|error| error.status().as_u16());
    for order in [RequestOrder::First, RequestOrder::Later] {
        let upgrade = |headers: HeaderMap| status(admission.admit_upgrade(PROXY, &headers, order));
        for _ in 0..4 {
            assert_eq!(status(admission.admit_connection(PROXY)), Ok(()));
            assert_eq!(upgrade(HeaderMap::new()), Ok(()), "the proxy's own");
        }
        let clients = match order {
            RequestOrder::First => ["198.51.100.1", "198.51.100.2"],
            RequestOrder::Later => ["198.51.100.3", "198.51.100.4"],
        };
        for client in clients {
            for _ in 0..3 {
                assert_eq!(upgrade(passed_on_for(client)), Ok(()), "{client}");
            }
            assert_eq!(upgrade(passed_on_for(client)), Err(429), "{client}");
        }
    }
}

/// Whether a token with these claims is accepted.
fn is_admitted(admission: &Admission, claims: &serde_json::Value) -> bool {
    let key = jsonwebtoken::EncodingKey::from_secret(auth::JWT_SECRET.as_bytes());
    let token = auth::sign(jsonwebtoken::Algorithm::HS256, &key, claims);
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    let peer = IpAddr::from([192, 0, 2, 1]);
    admission.authenticate(peer, &headers, None).is_ok()
}

#[test]
fn tokens_are_judged_by_the_systems_clock_as_it_is() {
    const SECONDS: i64 = 1_800_000_000;
    let begin = Wall::from_millis(SECONDS * 1000);
    let clock = Arc::new(Clock::manual(begin));
    let admission = admission(&Limits::default(), &clock, &mut Registry::default());
    let lives = serde_json::json!({"sub": "ann", "exp": SECONDS + 60});
    let begins_later = serde_json::json!({"sub": "ann", "exp": SECONDS + 9000, "nbf": SECONDS + 1800});
    for _ in 0..2 {
        clock.set_wall(begin);
        assert!(is_admitted(&admission, &lives));
        assert!(!is_admitted(&admission, &begins_later));
        // For one reading the clock is an hour ahead.
        clock.set_wall(begin.after(Duration::from_secs(3600)));
        assert!(!is_admitted(&admission, &lives));
        assert!(is_admitted(&admission, &begins_later));
    }
}

#[tokio::test]
async fn strangers_that_hold_connections_give_way_to_others() {
    let server = ServerFixture::start(Limits {
        unauthenticated_connections: Some(2),
        http_idle_timeout: Duration::from_secs(60),
        ..times(100, 60_000)
    });
    let (mut oldest, mut second) = (server.connect().await, server.connect().await);
    for stranger in [&mut oldest, &mut second] {
        assert!(stranger.ask("/hello").await.ends_with("hello"));
    }
    pause(Duration::from_millis(150)).await;
    assert!(oldest.ask("/hello").await.ends_with("hello"), "nobody needs the place");
    let mut third = server.connect().await;
    assert!(third.ask("/hello").await.ends_with("hello"));
    assert_eq!(oldest.until_closed().await, b"");
    assert!(second.ask("/hello").await.ends_with("hello"));
}

#[tokio::test]
async fn beyond_its_bound_an_address_gets_an_error() {
    let server = ServerFixture::start(Limits {
        connections_per_address: Some(2),
        ..Limits::default()
    });
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    assert!(first.ask("/hello").await.ends_with("hello"));
    assert!(second.ask("/hello").await.ends_with("hello"));
    let answer = server.connect().await.ask("/hello").await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("this address"),
        "{answer}"
    );
    drop(first);
    server.until_open(1).await;
    assert!(server.connect().await.ask("/hello").await.ends_with("hello"));
}
