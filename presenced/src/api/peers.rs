//! Asks other nodes of the cluster, at the addresses that they registered: for their sessions of a user, which are shown one by
//! one by `explain` alone, since what all nodes know of each other's sessions is how many there are; whether they answer; and to
//! look at the database for a revocation.
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
use presence::wire::rest::{Explain, ExplainSession, NodeErrorCode, NodeStats, NodesResponse, UnreachedNode};
use presence::{Mono, UserId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::AppState;
use super::routes::NODES;
use crate::auth::{NODE_HEADER, NodeRequest};
use crate::engine::{AskedNode, SessionAnswers};
use crate::percent;
use crate::request_id::{self, REQUEST_ID};
use crate::tls::PeerConnector;

/// How long other nodes have to answer, all at a time. With the wait for own changes (150 ms) beside it, `explain` stays under
/// the 600 ms in which REST answers.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);
/// Requests under way to all nodes: for a caller that explains one user after the other, and some dashboards.
const REQUESTS_MAX: usize = 64;
/// The most bytes of an answer: some 2,500 sessions.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// A node that does not accept this one's secret is not asked again before: it counts failed logins, of which it allows ten a minute
/// of one address.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// So often within that time it is asked again for an operator, who may just have mended a secret.
const ASKED_AGAIN_MAX: u32 = 5;

/// How the address of a node begins whose listener speaks TLS.
const HTTPS: &str = "https://";

/// The query of [`super::routes::EXPLAIN`] that asks for what a node knows by itself.
pub(super) const OF_NODE: &str = "scope=node";

/// The other nodes as they are asked.
pub(crate) struct Peers {
    places: Semaphore,
    /// To those whose address is one of `https`.
    tls: PeerConnector,
    /// Those that did not accept this node's secrets.
    rejected: Mutex<BTreeMap<Incarnation, RejectedTokens>>,
}

/// What a node did not accept.
struct RejectedTokens {
    at: Mono,
    /// The tokens for a request of nothing: with other secrets it is worth another try.
    tokens: String,
    /// How often within [`REFUSED_FOR`].
    count: u32,
    /// What it said the last time.
    rejected_part: RejectedPart,
}

/// What of a request a node rejected. It may have counted a failed login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RejectedPart {
    /// The tokens of this node.
    Tokens,
    /// The `Host`. A node on loopback that is asked by a name which is not its own accepts right tokens, and in an older version
    /// nothing.
    Host,
}

/// When a node is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AskPolicy {
    /// Unless it has rejected this node's tokens often: an operator may just have mended a secret.
    UnlessRejectedOften,
    /// If it has not rejected this node's tokens lately.
    UnlessRejected,
}

impl Peers {
    pub(crate) fn new(tls: PeerConnector) -> Self {
        Self {
            places: Semaphore::new(REQUESTS_MAX),
            tls,
            rejected: Mutex::default(),
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
        "{address} does not accept the internal secret of this node: the nodes of a cluster need the same one (--secret-file), and \
         each an address that leads to it alone (--advertise)"
    )]
    Refused { address: String },
    #[error(
        "{address} does not accept requests for that address (421): the node there is of an older version, or its internal secret is \
         another one"
    )]
    NotAccepted { address: String },
    #[error(
        "{address} accepts other tokens of users than this node: the nodes of a cluster need the same --jwt-key, --jwt-issuer and \
         --jwt-audience"
    )]
    OtherTokens { address: String },
    #[error("no answer from {address} within {} ms", ANSWERS_WITHIN.as_millis())]
    Timeout { address: String },
    #[error("{address} can't be reached: {error}")]
    Unreachable { address: String, error: std::io::Error },
    #[error("{address} does not answer as a node does: {what}")]
    NotUnderstood { address: String, what: String },
}

impl AskError {
    fn of(rejected_part: RejectedPart, address: &str) -> Self {
        let address = address.to_owned();
        match rejected_part {
            RejectedPart::Tokens => Self::Refused { address },
            RejectedPart::Host => Self::NotAccepted { address },
        }
    }

    const fn rejected_part(&self) -> Option<RejectedPart> {
        match self {
            Self::Refused { .. } => Some(RejectedPart::Tokens),
            Self::NotAccepted { .. } => Some(RejectedPart::Host),
            _ => None,
        }
    }

    const fn code(&self) -> NodeErrorCode {
        match self {
            Self::NoAddress => NodeErrorCode::NoAddress,
            Self::NoWay(_) => NodeErrorCode::AddressLeadsNowhere,
            Self::Refused { .. } => NodeErrorCode::OtherSecret,
            Self::NotAccepted { .. } => NodeErrorCode::NotAccepted,
            Self::OtherTokens { .. } => NodeErrorCode::OtherTokens,
            Self::Timeout { .. } => NodeErrorCode::Timeout,
            Self::Unreachable { .. } => NodeErrorCode::Unreachable,
            Self::NotUnderstood { .. } => NodeErrorCode::NotUnderstood,
        }
    }
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

    /// Asks every other one of these nodes for something that it tells each node of its cluster, and notes who does not answer.
    pub(super) async fn note_answers(&self, nodes: &mut [NodeStats]) {
        let own = self.engine.incarnation().to_string();
        let others = nodes.iter_mut().filter(|node| node.incarnation != own);
        let asked = others.filter_map(|node| Some((parse_run(&node.incarnation)?, node)));
        join_all(asked.map(async |(run, node)| {
            let told = self
                .told_by(run, node.address.as_deref(), NODES, AskPolicy::UnlessRejectedOften)
                .await;
            let compared = told.and_then(|body| self.compare_tokens(run, node.address.as_deref(), &body));
            let error = compared.err();
            node.error_code = error.as_ref().map(AskError::code);
            node.error = error.map(|error| error.to_string());
        }))
        .await;
    }

    /// Has all other nodes look for what was revoked of a user. Those that have not answered in time, which look by themselves.
    pub(super) async fn tell_of_revocation(&self, user: &UserId) -> Vec<UnreachedNode> {
        let path = format!("/api/presence/{}/revocation", percent::encode(user.as_str()));
        let own = self.engine.incarnation();
        let others = self.engine.members().into_iter();
        let told = others.filter(|member| member.incarnation != own).map(async |member| {
            let (run, address) = (
                member.incarnation,
                member.info.as_ref().map(|info| info.address.as_str()),
            );
            let told = self.told_by(run, address, &path, AskPolicy::UnlessRejectedOften).await;
            let error = told.err()?.to_string();
            let node = member.info.map_or_else(|| run.to_string(), |info| info.name);
            Some(UnreachedNode { node, error })
        });
        join_all(told).await.into_iter().flatten().collect()
    }

    /// What users' tokens this node accepts, for another one that asks.
    pub(super) fn acceptance(&self) -> String {
        self.auth.acceptance(&self.engine.incarnation().to_string())
    }

    /// Whether the node that answers so accepts the same tokens of users as this one.
    fn compare_tokens(&self, run: Incarnation, address: Option<&str>, body: &[u8]) -> Result<(), AskError> {
        let address = || address.unwrap_or_default().to_owned();
        let answer: NodesResponse = serde_json::from_slice(body).map_err(|error| AskError::NotUnderstood {
            address: address(),
            what: error.to_string(),
        })?;
        // An older version tells nothing of that.
        match answer.tokens_digest {
            Some(told) if !self.auth.accepts_as(&run.to_string(), &told) => {
                Err(AskError::OtherTokens { address: address() })
            }
            _ => Ok(()),
        }
    }

    async fn ask(&self, holder: &AskedNode, user: &UserId) -> Result<Vec<ExplainSession>, AskError> {
        let path = format!("/api/presence/{}/explain?{OF_NODE}", percent::encode(user.as_str()));
        let address = holder.address.as_deref();
        let body = self
            .told_by(holder.run, address, &path, AskPolicy::UnlessRejected)
            .await?;
        let explain: Explain = serde_json::from_slice(&body).map_err(|error| AskError::NotUnderstood {
            address: address.unwrap_or_default().to_owned(),
            what: error.to_string(),
        })?;
        let mut sessions = explain.sessions;
        sessions.retain(|session| session.source.is_none());
        for session in &mut sessions {
            session.node = Some(holder.name.as_str().to_owned());
        }
        Ok(sessions)
    }

    /// What a node answers to this path, within the time that all of them have.
    async fn told_by(
        &self,
        run: Incarnation,
        address: Option<&str>,
        path: &str,
        policy: AskPolicy,
    ) -> Result<Bytes, AskError> {
        let address = address.ok_or(AskError::NoAddress)?;
        if leads_nowhere(address) {
            return Err(AskError::NoWay(address.to_owned()));
        }
        let rejections_max = match policy {
            AskPolicy::UnlessRejectedOften => ASKED_AGAIN_MAX,
            AskPolicy::UnlessRejected => 0,
        };
        if let Some((count, rejected_part)) = self.rejections_by(run)
            && count > rejections_max
        {
            return Err(AskError::of(rejected_part, address));
        }
        let answered = tokio::time::timeout(ANSWERS_WITHIN, self.request(address, run, path));
        let answered = answered.await.unwrap_or_else(|_| {
            Err(AskError::Timeout {
                address: address.to_owned(),
            })
        });
        self.note_rejection(run, &answered);
        answered
    }

    fn note_rejection(&self, run: Incarnation, answered: &Result<Bytes, AskError>) {
        let mut rejected = self.peers.rejected.lock();
        match answered.as_ref().map_err(AskError::rejected_part) {
            Ok(_) => drop(rejected.remove(&run)),
            Err(Some(rejected_part)) => {
                let (at, tokens) = (self.clock.mono(), self.tokens_for(run, ""));
                let before = rejected.get(&run).filter(|before| before.tokens == tokens);
                let again = match before {
                    // For as long as it was asked, the first one counts.
                    Some(before) => RejectedTokens {
                        at: before.at,
                        count: before.count + 1,
                        tokens,
                        rejected_part,
                    },
                    None => RejectedTokens {
                        at,
                        tokens,
                        count: 1,
                        rejected_part,
                    },
                };
                rejected.insert(run, again);
            }
            Err(None) => {}
        }
    }

    /// How often the run has rejected what this node asked lately, and what of it; none if it has not.
    fn rejections_by(&self, run: Incarnation) -> Option<(u32, RejectedPart)> {
        let now = self.clock.mono();
        let mut rejected = self.peers.rejected.lock();
        rejected.retain(|_, tokens| now.since(tokens.at) < REFUSED_FOR);
        let given = rejected.get(&run);
        let given = given.filter(|given| given.tokens == self.tokens_for(run, ""));
        given.map(|given| (given.count, given.rejected_part))
    }

    fn tokens_for(&self, run: Incarnation, path: &str) -> String {
        let run = run.to_string();
        self.auth.node_tokens(NodeRequest { run: &run, path })
    }

    async fn request(&self, address: &str, run: Incarnation, path: &str) -> Result<Bytes, AskError> {
        let not_understood = |what: String| AskError::NotUnderstood {
            address: address.to_owned(),
            what,
        };
        // It is never closed.
        let _place = self.peers.places.acquire().await;
        let unreachable = |error| AskError::Unreachable {
            address: address.to_owned(),
            error,
        };
        let (host, is_encrypted) = match address.strip_prefix(HTTPS) {
            Some(host) => (host, true),
            None => (address, false),
        };
        let stream = TcpStream::connect(host).await.map_err(unreachable)?;
        let mut request = Request::get(path)
            .header(header::HOST, host)
            .header(&NODE_HEADER, self.tokens_for(run, path))
            .body(Empty::<Bytes>::new())
            .map_err(|error| not_understood(error.to_string()))?;
        // One id for what a request causes on all nodes.
        if let Some(id) = request_id::current() {
            request.headers_mut().insert(&REQUEST_ID, id);
        }
        let exchanged = match is_encrypted {
            true => {
                let stream = self.peers.tls.connect(host, stream).await.map_err(unreachable)?;
                exchange(stream, request).await
            }
            false => exchange(stream, request).await,
        };
        let (status, body) = exchanged.map_err(|error| not_understood(error.to_string()))?;
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::FORBIDDEN => Err(AskError::of(RejectedPart::Tokens, address)),
            StatusCode::MISDIRECTED_REQUEST => Err(AskError::of(RejectedPart::Host, address)),
            StatusCode::TOO_MANY_REQUESTS => Err(match self.rejections_by(run) {
                // It has counted too many failures.
                Some((_, rejected_part)) => AskError::of(rejected_part, address),
                None => not_understood(status.to_string()),
            }),
            status => Err(not_understood(status.to_string())),
        }
    }
}

/// Sends the request, and reads the whole answer. The connection ends with that, or when nobody waits any more.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
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

/// The run that is written so.
fn parse_run(digits: &str) -> Option<Incarnation> {
    u64::from_str_radix(digits, 16).ok().map(Incarnation)
}

/// Whether the address stands for all of a machine's: from here it would lead to this node or to none.
fn leads_nowhere(address: &str) -> bool {
    let parsed = address
        .strip_prefix(HTTPS)
        .unwrap_or(address)
        .parse::<std::net::SocketAddr>();
    parsed.is_ok_and(|address| address.ip().to_canonical().is_unspecified() || address.port() == 0)
}
