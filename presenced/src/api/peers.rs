//! Asks other nodes of the cluster, at the addresses that they registered, for their sessions of a user. They are shown one by
//! one by `explain` alone: what all nodes know of each other's sessions is how many there are.
//!
//! A node that can't be asked costs the answer a bounded time and its details, never the answer.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, StatusCode, header};
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use presence::explain::SessionAnswer;
use presence::replication::Incarnation;
use presence::wire::rest::{Explain, ExplainSession};
use presence::{Mono, UserId};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::AppState;
use crate::auth::{NODE_HEADER, NodeRequest};
use crate::engine::{AskedNode, SessionAnswers};
use crate::percent;

/// How long other nodes have to answer, all at a time. With the wait for own changes (150 ms) beside it, `explain` stays under
/// the 600 ms in which REST answers.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);
/// Requests under way to all nodes: for a caller that explains one user after the other, and some dashboards.
const REQUESTS_MAX: usize = 64;
/// The most bytes of an answer: some 2,500 sessions.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// A node that does not accept this one's secret is not asked again before: it counts failed logins.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// The query of [`super::routes::EXPLAIN`] that asks for what a node knows by itself.
pub(super) const OF_NODE: &str = "scope=node";

/// The other nodes as they are asked.
pub(crate) struct Peers {
    places: Semaphore,
    /// Those that did not accept this node's secret, and when.
    refused: Mutex<BTreeMap<Incarnation, Mono>>,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            places: Semaphore::new(REQUESTS_MAX),
            refused: Mutex::default(),
        }
    }
}

/// Why a node did not tell its sessions.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("its address is not known")]
    NoAddress,
    #[error("its address {0} leads to no other node: start it with --advertise")]
    NoWay(String),
    #[error(
        "it does not accept the internal secret of this node: the nodes of a cluster need the same one (--secret-file)"
    )]
    Refused,
    #[error("no answer from {address} within {} ms", ANSWERS_WITHIN.as_millis())]
    Timeout { address: String },
    #[error("{address} can't be reached: {error}")]
    Unreachable { address: String, error: std::io::Error },
    #[error("{address} does not answer as a node does: {what}")]
    NotUnderstood { address: String, what: String },
}

impl AppState {
    /// The connections of a user on other nodes, as those tell them.
    pub(super) async fn told_by_others(&self, user: &UserId) -> SessionAnswers {
        let holders = self.engine.holders(user);
        let asked = holders.iter().map(async |holder| {
            let told = match self.ask(holder, user).await {
                Ok(sessions) => SessionAnswer::Listed(sessions),
                Err(error) => SessionAnswer::Failed(error.to_string()),
            };
            (holder.run, told)
        });
        join_all(asked).await.into_iter().collect()
    }

    async fn ask(&self, holder: &AskedNode, user: &UserId) -> Result<Vec<ExplainSession>, AskError> {
        let address = holder.address.as_deref().ok_or(AskError::NoAddress)?;
        if leads_nowhere(address) {
            return Err(AskError::NoWay(address.to_owned()));
        }
        if self.is_refused_by(holder.run) {
            return Err(AskError::Refused);
        }
        let answered = tokio::time::timeout(ANSWERS_WITHIN, self.request(address, holder.run, user));
        let answered = answered.await.unwrap_or_else(|_| {
            Err(AskError::Timeout {
                address: address.to_owned(),
            })
        });
        if matches!(answered, Err(AskError::Refused)) {
            self.peers.refused.lock().insert(holder.run, self.clock.mono());
        }
        let of_holder = |session: &ExplainSession| session.source.is_none();
        let mut sessions = answered?;
        sessions.retain(of_holder);
        for session in &mut sessions {
            session.node = Some(holder.name.as_str().to_owned());
        }
        Ok(sessions)
    }

    fn is_refused_by(&self, run: Incarnation) -> bool {
        let now = self.clock.mono();
        let mut refused = self.peers.refused.lock();
        refused.retain(|_, at| now.since(*at) < REFUSED_FOR);
        refused.contains_key(&run)
    }

    async fn request(&self, address: &str, run: Incarnation, user: &UserId) -> Result<Vec<ExplainSession>, AskError> {
        let not_understood = |what: String| AskError::NotUnderstood {
            address: address.to_owned(),
            what,
        };
        // It is never closed.
        let _place = self.peers.places.acquire().await;
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| AskError::Unreachable {
                address: address.to_owned(),
                error,
            })?;
        let path = format!("/api/presence/{}/explain?{OF_NODE}", percent::encode(user.as_str()));
        let tokens = self.auth.node_tokens(NodeRequest {
            run: &run.to_string(),
            path: &path,
        });
        let request = Request::get(&path)
            .header(header::HOST, address)
            .header(NODE_HEADER, tokens)
            .body(Empty::<Bytes>::new())
            .map_err(|error| not_understood(error.to_string()))?;
        let exchange = exchange(stream, request).await;
        let (status, body) = exchange.map_err(|error| not_understood(error.to_string()))?;
        match status {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => return Err(AskError::Refused),
            status => return Err(not_understood(status.to_string())),
        }
        let explain: Explain = serde_json::from_slice(&body).map_err(|error| not_understood(error.to_string()))?;
        Ok(explain.sessions)
    }
}

/// Sends the request, and reads the whole answer. The connection ends with that, or when nobody waits any more.
async fn exchange(
    stream: TcpStream,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?;
    Ok((status, body.to_bytes()))
}

/// Whether the address stands for all of a machine's: from here it would lead to this node or to none.
fn leads_nowhere(address: &str) -> bool {
    let parsed = address.parse::<std::net::SocketAddr>();
    parsed.is_ok_and(|address| address.ip().to_canonical().is_unspecified() || address.port() == 0)
}
