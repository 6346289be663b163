//! Revocations of users' tokens, as asked of a store of whatever kind. What they mean is decided by `auth`.

use presence::SystemWall;

use super::options::ROWS_AT_ONCE;
use super::queue::Queue;
use super::read_request::{ReadCaller, ReadLane};
use super::requests::Push;
use super::write_request::{NewRevocation, WriteRequest};
use super::{Store, StoreError, StoredRevocation};

/// Single users don't wait behind it.
const LANE: (ReadLane, Push) = (ReadLane::Lists, Queue::push);

impl Store {
    /// Revokes the tokens of a user that were issued before a time. One that was stored stays if it is later, with a new number
    /// all the same. What is stored then.
    pub(crate) async fn revoke_tokens(
        &self,
        user_hash: [u8; 32],
        issued_before: SystemWall,
    ) -> Result<StoredRevocation, StoreError> {
        let new = NewRevocation {
            user_hash,
            issued_before,
        };
        self.requests().write(|caller| WriteRequest::Revoke(new, caller)).await
    }

    /// All revocations above this number, in order of their numbers: whatever was acknowledged before, and none that could come later
    /// with a lower number.
    pub(crate) async fn revocations_after(&self, mut number: u64) -> Result<Vec<StoredRevocation>, StoreError> {
        let mut revocations = Vec::new();
        loop {
            let read = |caller| ReadCaller::Revocations(number, caller);
            let some = self.requests().read(LANE, &[], read).await??;
            let is_last = some.len() < ROWS_AT_ONCE;
            revocations.extend(some);
            match revocations.last() {
                Some(last) if !is_last => number = last.number,
                _ => return Ok(revocations),
            }
        }
    }
}
