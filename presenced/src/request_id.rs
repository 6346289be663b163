//! The id of a request, in `x-request-id`: the client's, or one that is made here. It stands in the response, in the body of an
//! error, in every line that the request logs, and in what it asks of other nodes.
//!
//! It belongs to the task that serves the request, so that nothing has to hand it on. It is made when something needs it: a
//! lookup that succeeds pays for none. What a WebSocket does after its handshake is no request.

use std::cell::OnceCell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use futures_util::future::Either;

/// Not a constant, which would be made anew for each header that it is compared with.
pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a client, in bytes: room for what tracing systems make, and no more, since it is logged.
const LENGTH_MAX: usize = 128;
/// The bits of what ids made by one process begin with: two processes of a fleet that share it are not to be expected.
const PROCESS_BITS: u32 = 48;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The id of one request. Empty until something needs one that the client did not send.
#[derive(Debug, Default)]
pub(crate) struct RequestId(OnceCell<HeaderValue>);

impl RequestId {
    /// The client's, if it sent one that is valid. A repeated header is none: it is not known which one its sender means.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        // Looks at all headers in turn: a request has few, and that is quicker than to compute the hash of the name.
        let mut given = headers.iter().filter(|(name, _)| **name == REQUEST_ID);
        match (given.next(), given.next()) {
            (Some((_, value)), None) if is_valid(value.as_bytes()) => Self(OnceCell::from(value.clone())),
            _ => Self::default(),
        }
    }

    fn get(&self) -> &HeaderValue {
        self.0.get_or_init(made)
    }
}

/// What may be logged, and sent on, as it is: visible characters of ASCII.
fn is_valid(id: &[u8]) -> bool {
    (1..=LENGTH_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// An id that no other request of any process has: what this process begins with, and a number.
fn made() -> HeaderValue {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| {
        let random = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
        random >> (u64::BITS - PROCESS_BITS)
    });
    static MADE: AtomicU64 = AtomicU64::new(1);
    let (process, number) = (*PROCESS, MADE.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(format!("{process:012x}-{number:x}")).unwrap_or(HeaderValue::from_static("-"))
}

/// Serves a request that has this id.
pub(crate) fn serving<F: Future>(id: RequestId, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(id, work)
}

/// [`serving`] for what needs not wait.
pub(crate) fn serving_now<T>(id: RequestId, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(id, work)
}

/// The id of the request that is being served. Makes one if it has none. None outside of a request.
pub(crate) fn current() -> Option<HeaderValue> {
    CURRENT.try_with(|id| id.get().clone()).ok()
}

/// The same if the client sent it, or something has needed one.
pub(crate) fn known() -> Option<HeaderValue> {
    CURRENT.try_with(|id| id.0.get().cloned()).ok().flatten()
}

/// The same as text.
pub(crate) fn text() -> Option<String> {
    Some(current()?.to_str().ok()?.to_owned())
}

/// The same for a task that does something for several requests.
pub(crate) fn handed_on() -> Option<RequestId> {
    current().map(|id| RequestId(OnceCell::from(id)))
}

/// What a request has done in a task of its own.
pub(crate) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    match handed_on() {
        Some(id) => Either::Left(CURRENT.scope(id, work)),
        None => Either::Right(work),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(values: &[&[u8]]) -> Option<HeaderValue> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&REQUEST_ID, HeaderValue::from_bytes(value).expect("a header"));
        }
        RequestId::of(&headers).0.into_inner()
    }

    #[test]
    fn an_id_is_1_to_128_visible_characters_in_one_header() {
        let longest = [b'x'; LENGTH_MAX];
        for valid in [b"7".as_slice(), b"01J-x/y:{\"z\"}\\~!", &longest] {
            assert_eq!(id_of(&[valid]).expect("valid").as_bytes(), valid);
        }
        let too_long = [b'x'; LENGTH_MAX + 1];
        for invalid in [b"".as_slice(), b"a b", b"a\tb", b"caf\xc3\xa9", b"\x80", &too_long] {
            assert_eq!(id_of(&[invalid]), None, "{invalid:?}");
        }
        assert_eq!(id_of(&[b"a", b"a"]), None, "repeated");
        assert_eq!(id_of(&[]), None);
    }

    #[test]
    fn an_id_is_made_once_and_only_if_it_is_needed() {
        let (first, second) = serving_now(RequestId::default(), || {
            assert_eq!(known(), None);
            (current(), current())
        });
        assert!(first.is_some() && first == second, "{first:?} {second:?}");
        assert_ne!(serving_now(RequestId::default(), current), first);
        assert_eq!(current(), None, "outside of a request");
    }

    #[tokio::test]
    async fn a_task_of_a_request_has_its_id_and_others_have_none() {
        serving(RequestId::default(), async {
            let of_request = current();
            assert_eq!(tokio::spawn(carried(async { current() })).await.ok(), Some(of_request));
            assert_eq!(tokio::spawn(async { current() }).await.ok(), Some(None));
        })
        .await;
        assert_eq!(tokio::spawn(carried(async { current() })).await.ok(), Some(None));
    }
}
