//! Paths, methods, ids and bodies: the codes of invalid requests.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::fixture::{ANNA, ApiFixture, CUSTOM_STATUS_BODY, DEADLINE};
use crate::api::HealthCheck;
use crate::limits::Limits;

#[tokio::test]
async fn unknown_paths_are_problems_with_code_not_found() {
    let api = ApiFixture::new().await;
    for path in [
        "/",
        "/api",
        "/api/presence/",
        "/api/presence/a/b",
        "/api/user",
        "//healthz",
        "/healthz/",
    ] {
        api.internal(&format!("GET {path}"))
            .await
            .assert_error(404, "not_found");
    }
}

#[tokio::test]
async fn the_root_names_what_answers_and_where_its_api_is() {
    let api = ApiFixture::new().await;
    let detail = |reply: &Value| reply["detail"].as_str().unwrap().to_owned();
    let root = detail(&api.internal("GET /").await.json());
    assert!(root.contains("presenced") && root.contains("/readyz"), "{root}");
    assert_eq!(
        detail(&api.internal("GET /nowhere").await.json()),
        "no such path: /nowhere"
    );
}

#[tokio::test]
async fn request_targets_that_are_not_paths_are_not_found() {
    let api = ApiFixture::new().await;
    for line in ["CONNECT example.com:443", "OPTIONS *", "GET http://localhost/nowhere"] {
        api.internal(line).await.assert_error(404, "not_found");
    }
    assert_eq!(api.internal("GET http://localhost/healthz").await.status, 200);
}

#[tokio::test]
async fn a_wrong_method_gets_the_allow_header() {
    let api = ApiFixture::new().await;
    for (line, allowed) in [
        ("POST /api/user/custom-status", "PUT,DELETE,OPTIONS"),
        ("PUT /api/user/custom-status/anna", "GET,HEAD"),
        ("GET /api/user/realtime", "PUT,DELETE"),
        ("GET /api/user/anna", "DELETE"),
        ("DELETE /api/presence", "GET,HEAD"),
        ("PATCH /api/presence/query", "POST,GET,HEAD,OPTIONS"),
        ("POST /api/presence/anna", "GET,HEAD,OPTIONS"),
        ("OPTIONS /api/presence/anna/explain", "GET,HEAD"),
        ("GET /api/presence/anna/sessions", "DELETE"),
        ("DELETE /api/presence/anna/revocation", "GET,HEAD,PUT"),
        ("BREW /metrics", "GET,HEAD"),
        ("POST /ws", "GET,HEAD"),
    ] {
        let reply = api.internal(line).await;
        reply.assert_error(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some(allowed), "{line}");
    }
}

#[tokio::test]
async fn invalid_ids_in_paths_have_their_own_code() {
    let api = ApiFixture::new().await;
    let long = "x".repeat(129);
    for segment in [
        "%", "%2", "%zz", "%FF", "%00", "%0A", "%C2%85", ".", "..", "%2E", "%20a", "a%20", &long,
    ] {
        for line in [
            format!("GET /api/presence/{segment}"),
            format!("GET /api/presence/{segment}/explain"),
            format!("DELETE /api/presence/{segment}/sessions"),
            format!("PUT /api/presence/{segment}/revocation"),
            format!("GET /api/user/custom-status/{segment}"),
            format!("DELETE /api/user/{segment}"),
        ] {
            api.internal(&line).await.assert_error(400, "invalid_user_id");
        }
    }
}

#[tokio::test]
async fn any_content_type_is_read_as_json_but_no_encoding() {
    let api = ApiFixture::new().await;
    for kind in [
        "application/json",
        "Application/JSON ; charset=utf-8",
        "application/x-www-form-urlencoded",
        "text/plain",
        "",
    ] {
        let headers = [ANNA, ("content-type", kind)];
        let answer = api
            .ask("PUT /api/user/custom-status", &headers, CUSTOM_STATUS_BODY)
            .await;
        assert_eq!(answer.status, 200, "{kind}");
    }
    let gzip = [ANNA, ("content-encoding", "gzip")];
    api.ask("PUT /api/user/custom-status", &gzip, CUSTOM_STATUS_BODY)
        .await
        .assert_error(415, "unsupported_media_type");
}

/// A body in pieces of 1000 bytes, without a length.
struct TestBody {
    rest: Bytes,
    /// Whether it ends after the last piece, or stalls.
    ends: bool,
}

impl HttpBody for TestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.rest.len().min(1000) {
            0 if self.ends => Poll::Ready(None),
            0 => Poll::Pending,
            piece => Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece))))),
        }
    }
}

#[tokio::test]
async fn a_body_has_an_exact_limit_with_and_without_a_length() {
    let api = ApiFixture::new().await;
    let padded = |json: &str, bytes: usize| format!("{json}{}", " ".repeat(bytes - json.len()));
    for (line, json, limit) in [
        ("PUT /api/user/custom-status", CUSTOM_STATUS_BODY, 64 * 1024),
        ("POST /api/presence/query", r#"{"userIds":["anna"]}"#, 1024 * 1024),
    ] {
        for (bytes, good) in [(limit - 1, true), (limit, true), (limit + 1, false), (limit * 9, false)] {
            let text = padded(json, bytes);
            for reply in [
                api.ask(line, &[ANNA], text.clone()).await,
                api.ask(
                    line,
                    &[ANNA],
                    Body::new(TestBody {
                        rest: text.into(),
                        ends: true,
                    }),
                )
                .await,
            ] {
                if good {
                    assert_eq!(reply.status, 200, "{line} {bytes}");
                } else {
                    reply.assert_error(413, "too_large");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_stalls_times_out() {
    let limits = Limits {
        message_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let api = ApiFixture::with(limits, HealthCheck::default()).await;
    let stalled = |rest: Bytes| Body::new(TestBody { rest, ends: false });
    let body = stalled(Bytes::from_static(b"{\"customStatus\":"));
    let reply = api.ask("PUT /api/user/custom-status", &[ANNA], body).await;
    reply.assert_error(408, "request_timeout");
    // A body that is over the limit already is not waited for either.
    let too_large = stalled(Bytes::from(vec![b' '; 70_000]));
    let reply = api.ask("PUT /api/user/custom-status", &[ANNA], too_large).await;
    reply.assert_error(413, "too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_of_a_far_too_large_body_sees_the_error() {
    let api = ApiFixture::new().await;
    let server = api.serve();
    let token = crate::auth::fixture::token("anna");
    let head = format!("PUT /api/user/custom-status HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n");
    let sent = " ".repeat(640 * 1024);
    for (length, body) in [
        ("content-length: 655360", sent.clone()),
        ("content-length: 65537", String::new()),
        ("content-length: 655360\r\nexpect: 100-continue", String::new()),
        (
            "transfer-encoding: chunked",
            format!("{:x}\r\n{sent}\r\n0\r\n\r\n", sent.len()),
        ),
    ] {
        let request = format!("{head}{length}\r\n\r\n{body}");
        let answer = exchange(server.local_addr(), &request).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 413 "), "{length}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_body_may_come_after_the_error() {
    let api = ApiFixture::new().await;
    let server = api.serve();
    let token = crate::auth::fixture::token("anna");
    let mut client = TcpStream::connect(server.local_addr()).await.expect("a connection");
    let head = format!(
        "PUT /api/user/custom-status HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: 655360\r\n\r\n"
    );
    // As much as a client sends before the first acknowledgement comes from far away.
    let (first, rest) = (" ".repeat(14_000), " ".repeat(655_360 - 14_000));
    client
        .write_all(format!("{head}{first}").as_bytes())
        .await
        .expect("room");
    let answer = response(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    client.write_all(rest.as_bytes()).await.expect("no reset");
    client
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("no reset");
    let answer = response(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "the connection goes on: {answer}");
}

/// Reads a response with a body.
async fn response(client: &mut TcpStream) -> String {
    let mut text = String::new();
    let reading = async {
        let mut bytes = [0; 4096];
        loop {
            let read = client.read(&mut bytes).await.expect("no reset");
            assert!(read > 0, "closed after {text:?}");
            text += &String::from_utf8_lossy(&bytes[..read]);
            if text.contains("\r\n\r\n{") && text.ends_with('}') {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading)
        .await
        .expect("a response in time");
    text
}

/// Sends all of a request, and reads the beginning of the response. Little is buffered on the way, so the server must read
/// what it rejects.
async fn exchange(server: SocketAddr, request: &str) -> io::Result<String> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(8 * 1024)?;
    let mut client = socket.connect(server).await?;
    client.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let read = client.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}
