//! Long answers: a query's and a page's. Each takes half a megabyte until its client has read it, so there is a bounded
//! number of them: a request takes its place before its body is read, waits for one if there is none, and has it until the
//! client has taken the answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use presence::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::caller::AnyCaller;
use crate::exceeded_limit::Limit;
use crate::server::ApiError;

/// Long answers of one user under way: some 2 MB, and more than a page of a client asks for at once.
pub(super) const ANSWERS_PER_USER: usize = 4;
/// Long answers to internal callers under way: some 45 MB. They are trusted, but may be many and slow.
pub(super) const ANSWERS_INTERNAL: usize = 64;
/// How many users' places are kept before those that nobody has are dropped.
const USERS_KEPT: usize = 1024;
/// Bytes that are given to the connection at once. It asks for more when it has sent them, so until the end of a long answer
/// its place is taken.
const CHUNK_BYTES: usize = 64 * 1024;

/// The places for long answers.
#[derive(Debug)]
pub(crate) struct AnswerPlaces {
    internal: Arc<Semaphore>,
    users: Mutex<hashbrown::HashMap<UserId, Arc<Semaphore>>>,
}

impl Default for AnswerPlaces {
    fn default() -> Self {
        Self {
            internal: Arc::new(Semaphore::new(ANSWERS_INTERNAL)),
            users: Mutex::default(),
        }
    }
}

/// A place for one answer.
#[derive(Debug)]
pub(super) struct AnswerPlace {
    _permit: OwnedSemaphorePermit,
}

impl AnswerPlaces {
    /// A place for an answer to this caller; waits for `patience` if all are taken.
    pub(super) async fn take(&self, caller: &AnyCaller, patience: Duration) -> Result<AnswerPlace, ApiError> {
        let places = match caller {
            AnyCaller::Internal => Arc::clone(&self.internal),
            AnyCaller::User(user) => self.of_user(user),
        };
        match tokio::time::timeout(patience, places.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(AnswerPlace { _permit: permit }),
            // They are never closed.
            Ok(Err(_)) => Err(ApiError::internal()),
            Err(_) => Err(ApiError::rate_limited(Duration::from_secs(1), Limit::Answers)),
        }
    }

    fn of_user(&self, user: &UserId) -> Arc<Semaphore> {
        let mut users = self.users.lock();
        if users.len() >= USERS_KEPT && users.len() == users.capacity() {
            // Each place that is taken or waited for refers to them.
            users.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = users.entry_ref(user);
        Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(ANSWERS_PER_USER))))
    }
}

/// The answer, which has its place until the client has taken it.
pub(super) fn answer(place: AnswerPlace, json: String) -> Response {
    let mut response = Response::new(Body::new(Answer {
        rest: json.into(),
        _place: place,
    }));
    let content_type = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// The body of a long answer.
struct Answer {
    rest: Bytes,
    _place: AnswerPlace,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let length = self.rest.len().min(CHUNK_BYTES);
        let chunk = self.rest.split_to(length);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn user(number: usize) -> AnyCaller {
        AnyCaller::User(UserId::new(&format!("user-{number}")).expect("a user id"))
    }

    /// Whether there is a place now.
    async fn is_free(places: &AnswerPlaces, caller: &AnyCaller) -> bool {
        places.take(caller, Duration::ZERO).await.is_ok()
    }

    #[tokio::test]
    async fn the_answers_of_each_user_and_of_internal_callers_are_bounded() {
        let places = AnswerPlaces::default();
        for (caller, max) in [(user(1), ANSWERS_PER_USER), (AnyCaller::Internal, ANSWERS_INTERNAL)] {
            let mut taken = Vec::new();
            for _ in 0..max {
                taken.push(places.take(&caller, Duration::ZERO).await.expect("a place"));
            }
            let refused = places.take(&caller, Duration::ZERO).await.expect_err("no place");
            assert_eq!(refused.status(), 429);
            assert!(is_free(&places, &user(2)).await, "others have places of their own");
            taken.pop();
            assert!(is_free(&places, &caller).await);
        }
    }

    #[tokio::test]
    async fn an_answer_has_its_place_until_its_last_bytes_are_asked_for() {
        let places = AnswerPlaces::default();
        let mut taken = Vec::new();
        for _ in 0..ANSWERS_PER_USER {
            taken.push(places.take(&user(1), Duration::ZERO).await.expect("a place"));
        }
        let text = "x".repeat(2 * CHUNK_BYTES + 2);
        let response = answer(taken.pop().expect("a place"), text.clone());
        let mut body = response.into_body();
        assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
        for left in [CHUNK_BYTES + 2, 2, 0] {
            assert!(!is_free(&places, &user(1)).await);
            let frame = body.frame().await.expect("a frame").expect("no error");
            assert!(frame.data_ref().is_some_and(|data| data.len() <= CHUNK_BYTES));
            assert_eq!(
                (body.size_hint().exact(), body.is_end_stream()),
                (Some(left as u64), left == 0)
            );
        }
        assert!(body.frame().await.is_none());
        drop(body);
        assert!(is_free(&places, &user(1)).await);
    }

    #[tokio::test]
    async fn places_that_no_user_has_are_dropped_and_taken_ones_stay() {
        let places = AnswerPlaces::default();
        let mut taken = Vec::new();
        for _ in 0..ANSWERS_PER_USER {
            taken.push(places.take(&user(0), Duration::ZERO).await.expect("a place"));
        }
        for number in 1..16 * USERS_KEPT {
            assert!(is_free(&places, &user(number)).await);
        }
        let kept = places.users.lock().len();
        assert!(kept <= 4 * USERS_KEPT, "{kept} users");
        assert!(!is_free(&places, &user(0)).await);
    }
}
