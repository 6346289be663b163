//! Of which users operators have revoked tokens, in memory: `auth` refuses such tokens, and the engine ends the connections that were
//! admitted before. What is durable of it is the store's.

use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashMap;
use parking_lot::RwLock;
use presence::{SystemWall, UserId};
use sha2::{Digest as _, Sha256};

/// SHA-256 of a user id. Users that were forgotten stay revoked, and nothing of their ids may be kept.
pub(crate) type UserHash = [u8; 32];

pub(crate) fn user_hash(user: &UserId) -> UserHash {
    Sha256::digest(user.as_str()).into()
}

/// Which tokens of a user are revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserRevocation {
    /// Those that were issued before this.
    pub(crate) issued_before: SystemWall,
    /// Of the last revocation, as the store counts them.
    pub(crate) number: u64,
}

/// How many revocations had been noted at some moment. The default is at the end of time. Small: the task of each connection has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotedRevocations(u32);

impl Default for NotedRevocations {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

/// All users of whom tokens are revoked. Mostly there are none, and then no token costs more than a look at a number.
#[derive(Debug, Default)]
pub(crate) struct RevokedTokens {
    users: RwLock<HashMap<UserHash, Noted>>,
    /// How many were noted. Changed under the lock of `users`.
    noted: AtomicU32,
}

#[derive(Debug)]
struct Noted {
    revocation: UserRevocation,
    /// How many had been noted with it.
    at: u32,
}

impl RevokedTokens {
    /// From now on these tokens are revoked. False: nothing of it is new.
    pub(crate) fn note(&self, user: UserHash, revocation: UserRevocation) -> bool {
        let mut users = self.users.write();
        let before = users.get(&user).map(|noted| noted.revocation);
        if before.is_some_and(|before| before.number >= revocation.number) {
            return false;
        }
        let at = self.noted.load(Ordering::Relaxed).saturating_add(1);
        let earlier = before.map_or(revocation.issued_before, |before| before.issued_before);
        let revocation = UserRevocation {
            issued_before: revocation.issued_before.max(earlier),
            ..revocation
        };
        users.insert(user, Noted { revocation, at });
        self.noted.store(at, Ordering::Release);
        true
    }

    /// Tokens of the user that were issued before this are revoked; none if no operator has revoked any.
    pub(crate) fn issued_before(&self, user: &UserId) -> Option<SystemWall> {
        if self.noted.load(Ordering::Acquire) == 0 {
            return None;
        }
        let users = self.users.read();
        users.get(&user_hash(user)).map(|noted| noted.revocation.issued_before)
    }

    /// How many have been noted by now. Ask before a credential is checked: whatever is revoked after that, the check may not know.
    pub(crate) fn noted(&self) -> NotedRevocations {
        NotedRevocations(self.noted.load(Ordering::Acquire))
    }

    /// Whether tokens of the user were revoked after that.
    pub(crate) fn has_revoked_since(&self, user: &UserId, noted: NotedRevocations) -> bool {
        if self.noted.load(Ordering::Acquire) <= noted.0 {
            return false;
        }
        let users = self.users.read();
        users.get(&user_hash(user)).is_some_and(|found| found.at > noted.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64, number: u64) -> UserRevocation {
        UserRevocation {
            issued_before: SystemWall::from_millis(millis),
            number,
        }
    }

    #[test]
    fn a_revocation_is_of_one_user_and_never_goes_back() {
        let (revoked, ann, bob) = (
            RevokedTokens::default(),
            UserId::new("ann").unwrap(),
            UserId::new("bob").unwrap(),
        );
        let before = |user| revoked.issued_before(user).map(SystemWall::as_millis);
        assert_eq!(before(&ann), None);
        assert!(revoked.note(user_hash(&ann), at(1_000, 5)));
        assert_eq!((before(&ann), before(&bob)), (Some(1_000), None));
        // Read again, or late.
        for number in [5, 4] {
            assert!(!revoked.note(user_hash(&ann), at(3_000, number)), "{number}");
        }
        // A database that lost the last one.
        assert!(revoked.note(user_hash(&ann), at(900, 6)));
        assert_eq!(before(&ann), Some(1_000));
        assert!(revoked.note(user_hash(&ann), at(2_000, 7)));
        assert_eq!(before(&ann), Some(2_000));
    }

    #[test]
    fn a_revocation_noted_since_is_told_of_its_user_alone() {
        let (revoked, ann, bob) = (
            RevokedTokens::default(),
            UserId::new("ann").unwrap(),
            UserId::new("bob").unwrap(),
        );
        let first = revoked.noted();
        assert!(!revoked.has_revoked_since(&ann, first));
        revoked.note(user_hash(&ann), at(1_000, 1));
        let second = revoked.noted();
        assert!(revoked.has_revoked_since(&ann, first) && !revoked.has_revoked_since(&bob, first));
        assert!(!revoked.has_revoked_since(&ann, second));
        revoked.note(user_hash(&bob), at(1_000, 2));
        assert!(!revoked.has_revoked_since(&ann, second) && revoked.has_revoked_since(&bob, second));
        revoked.note(user_hash(&ann), at(1_000, 3));
        assert!(revoked.has_revoked_since(&ann, second), "also with the same time");
        assert!(!revoked.has_revoked_since(&ann, NotedRevocations::default()));
    }
}
