//! Requests for an upgrade, which are answered without the router: clients that all come back at once are the most that the
//! daemon has to do. What such a request means is not decided here.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use axum::http::Method;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;

use super::http_stream::HttpStream;
use super::{ApiError, ConnectionPermit, Peer, RequestOrder};
use crate::tls::Transport;

/// Who sends a request, over which connection.
#[derive(Clone)]
pub(crate) struct Requester {
    pub(crate) peer: Peer,
    pub(crate) order: RequestOrder,
    /// None of a request that is not from a socket, in tests.
    pub(crate) permit: Option<Arc<ConnectionPermit>>,
}

impl Requester {
    /// The client of a request of the router.
    pub(crate) fn of<B>(request: &hyper::Request<B>) -> Result<Self, ApiError> {
        let extensions = request.extensions();
        let Some(peer) = extensions.get().copied() else {
            tracing::error!("a request has no peer address");
            return Err(ApiError::internal());
        };
        Ok(Self {
            peer,
            order: extensions.get().copied().unwrap_or(RequestOrder::Later),
            permit: extensions.get().cloned(),
        })
    }
}

/// An upgraded connection.
pub(crate) struct UpgradedSocket {
    pub(crate) socket: Transport,
    /// The response to the handshake, if it is not sent yet: it comes before everything else, and leaves with the first frame.
    pub(crate) response: Vec<u8>,
    /// What the client sent right after its handshake.
    pub(crate) early: Vec<u8>,
}

/// What is done with a connection once it is upgraded.
pub(crate) type OnUpgraded = Box<dyn FnOnce(UpgradedSocket) + Send>;

/// The answer to a request for an upgrade.
pub(crate) struct Answered {
    pub(crate) response: Response,
    /// None if the response is an error.
    pub(crate) start: Option<OnUpgraded>,
}

impl From<Response> for Answered {
    /// An error, after which nothing is upgraded.
    fn from(response: Response) -> Self {
        Self { response, start: None }
    }
}

/// Answers a request at once.
pub(crate) type AnswerUpgrade = dyn Fn(&hyper::Request<Incoming>, &Requester) -> Answered + Send + Sync;

/// Which requests are answered without the router, and by whom.
#[derive(Clone)]
pub(crate) struct Upgrades {
    pub(crate) path: &'static str,
    pub(crate) answer: Arc<AnswerUpgrade>,
}

impl Upgrades {
    /// Whether the router is not asked.
    pub(super) fn take<B>(&self, request: &hyper::Request<B>) -> bool {
        request.method() == Method::GET && request.uri().path() == self.path
    }
}

/// A connection whose response to the handshake is made.
pub(super) struct PendingUpgrade {
    pub(super) upgrade: OnUpgrade,
    pub(super) start: OnUpgraded,
}

impl PendingUpgrade {
    /// Hands the socket on, if the connection was upgraded: to be called when hyper is done with it.
    pub(super) async fn finish(self) {
        if let Some(Ok(upgraded)) = ready_now(self.upgrade).await
            && let Some(socket) = socket_of(upgraded)
        {
            (self.start)(socket);
        }
    }
}

/// The output of a future that is ready. A task that has used up its turn, which it shares with tasks that ran before it, would
/// find nothing of the runtime ready: here it does not count.
async fn ready_now<F: Future + Unpin>(future: F) -> Option<F::Output> {
    let mut future = tokio::task::unconstrained(future);
    poll_fn(|context| match Pin::new(&mut future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Waits until the connection is upgraded.
pub(crate) async fn upgraded(upgrade: OnUpgrade) -> Option<UpgradedSocket> {
    socket_of(upgrade.await.ok()?)
}

fn socket_of(upgraded: Upgraded) -> Option<UpgradedSocket> {
    match upgraded.downcast::<TokioIo<HttpStream>>() {
        Ok(parts) => {
            let (socket, response) = parts.io.into_inner().into_parts();
            Some(UpgradedSocket {
                socket,
                response,
                early: parts.read_buf.to_vec(),
            })
        }
        Err(_) => {
            tracing::error!("an upgraded connection is not a TCP socket");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use tokio::sync::oneshot;
    use tokio::task::coop::has_budget_remaining;

    use super::*;

    #[tokio::test]
    async fn an_upgrade_is_found_at_the_end_of_a_turn_of_the_task() {
        let sent = || {
            let (sender, receiver) = oneshot::channel();
            sender.send(7).map(|()| receiver).expect("a receiver")
        };
        while has_budget_remaining() {
            assert_eq!(sent().await, Ok(7));
        }
        assert_eq!(ready_now(sent()).await, Some(Ok(7)));
        let (_sender, receiver) = oneshot::channel::<u8>();
        assert_eq!(ready_now(receiver).await, None, "nothing is waited for");
    }

    #[test]
    fn only_a_get_of_the_path_itself_passes_the_router_by() {
        let upgrades = Upgrades {
            path: "/ws",
            answer: Arc::new(|_: &_, _: &_| ().into_response().into()),
        };
        let take = |method: Method, uri: &str| {
            let request = hyper::Request::builder().method(method).uri(uri).body(());
            upgrades.take(&request.expect("a request"))
        };
        for uri in ["/ws", "/ws?x=1", "http://localhost/ws"] {
            assert!(take(Method::GET, uri), "{uri}");
        }
        for uri in ["/", "/ws/", "//ws", "/WS", "/%77s", "/wss", "/ws%2F"] {
            assert!(!take(Method::GET, uri), "{uri}");
        }
        for method in [Method::HEAD, Method::POST, Method::OPTIONS, Method::CONNECT] {
            assert!(!take(method.clone(), "/ws"), "{method}");
        }
    }
}
