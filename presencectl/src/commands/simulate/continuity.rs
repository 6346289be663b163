//! What a simulated user keeps from one connection to the next: the session that it continues, the position from which it
//! watches on, and how often it saw each of the others become OFFLINE. Pure.

use std::collections::BTreeMap;

use presence::Revision;

/// Whom a user watches, as it was told.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    is_offline: bool,
    /// How often it was told to become OFFLINE.
    times: u64,
    /// At which revision the last time: a node that is behind another one may tell of it once more.
    offline_at: Revision,
}

/// The user's position, over all its connections.
#[derive(Debug, Default)]
pub(super) struct Continuity {
    /// The session of the connection that is open, or was last; none after the user signed out.
    session: Option<String>,
    cursor: Option<String>,
    /// Snapshots of the open connection that are not complete. Until then a cursor says nothing.
    unfinished: usize,
    seen: BTreeMap<u64, Seen>,
}

impl Continuity {
    /// A connection is open, with this session. The session that it continues, if there is one.
    pub(super) const fn begin(&mut self, session: String) -> Option<String> {
        self.session.replace(session)
    }

    /// The position from which this many requests watch on.
    pub(super) fn watch_from(&mut self, requests: usize) -> Option<String> {
        self.unfinished = requests;
        self.cursor.clone()
    }

    /// The user signs out: nothing is continued.
    pub(super) fn sign_out(&mut self) {
        self.session = None;
    }

    /// A snapshot has come so far.
    pub(super) fn handle_snapshot(&mut self, cursor: String, is_done: bool) {
        if is_done {
            self.unfinished = self.unfinished.saturating_sub(1);
            self.handle_cursor(cursor);
        }
    }

    /// Changes have come, up to this position.
    pub(super) fn handle_cursor(&mut self, cursor: String) {
        if self.unfinished == 0 {
            self.cursor = Some(cursor);
        }
    }

    /// Another user is told to be OFFLINE, or not, at this revision, who has signed out so many times. Whether it became OFFLINE
    /// without that.
    pub(super) fn saw(&mut self, person: u64, (is_offline, revision): (bool, Revision), signed_out: u64) -> bool {
        let seen = self.seen.entry(person).or_insert(Seen {
            is_offline: true,
            times: 0,
            offline_at: Revision::NEVER,
        });
        let is_new = revision == Revision::NEVER || revision > seen.offline_at;
        let became = is_offline && !seen.is_offline && is_new;
        if is_offline {
            seen.offline_at = seen.offline_at.max(revision);
        }
        seen.is_offline = is_offline;
        seen.times += u64::from(became);
        let is_unexpected = became && seen.times > signed_out;
        seen.times = seen.times.min(signed_out);
        is_unexpected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_session_is_continued_and_one_that_was_signed_out_of_is_not() {
        let mut user = Continuity::default();
        assert_eq!(user.begin("a-1".into()), None);
        assert_eq!(user.begin("b-7".into()).as_deref(), Some("a-1"));
        user.sign_out();
        assert_eq!(user.begin("a-2".into()), None);
    }

    #[test]
    fn a_cursor_counts_once_all_snapshots_are_complete() {
        let mut user = Continuity::default();
        assert_eq!(user.watch_from(2), None);
        user.handle_snapshot("1".into(), false);
        user.handle_snapshot("2".into(), true);
        user.handle_cursor("3".into());
        assert_eq!(user.cursor, None);
        user.handle_snapshot("4".into(), true);
        assert_eq!(user.cursor.as_deref(), Some("4"));
        user.handle_cursor("5".into());
        assert_eq!(user.watch_from(2).as_deref(), Some("5"));
        user.handle_snapshot("6".into(), true);
        assert_eq!(user.cursor.as_deref(), Some("5"), "the other snapshot is not complete");
    }

    #[test]
    fn somebody_who_becomes_offline_more_often_than_signed_out_is_unexpected() {
        let mut user = Continuity::default();
        let mut saw = |is_offline, revision, signed_out| user.saw(1, (is_offline, Revision::new(revision)), signed_out);
        assert!(!saw(true, 1, 0), "not there yet");
        assert!(!saw(false, 2, 0));
        assert!(saw(true, 3, 0));
        assert!(!saw(true, 3, 0), "told once more");
        assert!(!saw(false, 4, 0));
        assert!(!saw(true, 5, 1), "signed out since");
        assert!(!saw(false, 6, 1));
        assert!(!saw(true, 5, 1), "by a node that is behind");
        assert!(!saw(false, 6, 1));
        assert!(saw(true, 7, 1));
    }
}
