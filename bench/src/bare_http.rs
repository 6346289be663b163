//! The floor of REST: a handler without any logic, of the HTTP library that the daemon uses. It answers every request with the
//! same bytes.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use memchr::memmem;
use tokio::net::{TcpListener, TcpStream};

/// An answer as it was received, which is given again.
#[derive(Clone)]
struct Answer {
    headers: HeaderMap,
    body: Bytes,
}

/// Serves the answer in a file until the process is killed.
pub(crate) fn run(file: &Path) -> Result<()> {
    let text = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    let answer = Answer::parse(&text)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(answer))
}

async fn serve(answer: Answer) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve_connection(stream, answer.clone()));
    }
}

async fn serve_connection(stream: TcpStream, answer: Answer) {
    let handler = service_fn(move |_: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            let mut response = Response::new(Full::new(answer.body));
            *response.headers_mut() = answer.headers;
            Ok::<_, Infallible>(response)
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new());
    // An error is the generator's end.
    let _ = server.serve_connection(TokioIo::new(stream), handler).await;
}

impl Answer {
    /// Takes an answer apart. What the library writes itself is left to it.
    fn parse(text: &[u8]) -> Result<Self> {
        let head = memmem::find(text, b"\r\n\r\n").context("an answer without a head")?;
        let mut headers = HeaderMap::new();
        for line in std::str::from_utf8(&text[..head])?.split("\r\n").skip(1) {
            let (name, value) = line.split_once(": ").context("a header without a value")?;
            headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
        headers.remove(CONTENT_LENGTH);
        headers.remove(DATE);
        Ok(Self {
            headers,
            body: Bytes::copy_from_slice(&text[head + 4..]),
        })
    }
}

#[test]
fn an_answer_keeps_its_own_headers_and_its_body() {
    let text = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\ndate: now\r\n\r\n{}";
    let answer = Answer::parse(text).unwrap();
    assert_eq!((answer.headers.len(), answer.body.as_ref()), (1, b"{}".as_slice()));
}
