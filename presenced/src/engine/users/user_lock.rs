//! The lock of a user: durable changes of one user happen one after the other. A function that makes one, or that
//! relies on no other being made, takes a [`UserLock`] as an argument.

use std::sync::Arc;

use presence::UserId;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::hash;

/// Users share this many locks; two that share one wait for each other.
const USER_LOCKS: usize = 1024;

/// All user locks.
pub(in crate::engine) struct UserLocks(Box<[Arc<Mutex<()>>]>);

/// Proof that no other durable change of the user is under way.
pub(in crate::engine) struct UserLock {
    user: UserId,
    _guard: OwnedMutexGuard<()>,
}

impl UserLocks {
    pub(in crate::engine) fn new() -> Self {
        Self((0..USER_LOCKS).map(|_| Arc::default()).collect())
    }

    /// Waits for the durable changes of the user that are under way.
    pub(in crate::engine) async fn lock(&self, user: &UserId) -> UserLock {
        UserLock {
            user: user.clone(),
            _guard: Arc::clone(self.of(user)).lock_owned().await,
        }
    }

    /// Whether a durable change of the user is under way.
    #[cfg(test)]
    pub(in crate::engine) fn is_locked(&self, user: &UserId) -> bool {
        self.of(user).try_lock().is_err()
    }

    fn of(&self, user: &UserId) -> &Arc<Mutex<()>> {
        &self.0[hash(user) as usize % USER_LOCKS]
    }
}

impl UserLock {
    pub(in crate::engine) fn user(&self) -> &UserId {
        &self.user
    }
}
