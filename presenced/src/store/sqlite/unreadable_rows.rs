//! Users whose row can't be understood, each with the reason: it is logged once, and again when it is another one or the row
//! could be read meanwhile. Such a row is read at each call that needs its user.

use hashbrown::HashMap;
use parking_lot::Mutex;
use presence::UserId;

/// How many are kept. Beyond, all are logged anew: more than an operator reads one by one.
const ROWS_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct UnreadableRows(Mutex<HashMap<UserId, String>>);

impl UnreadableRows {
    /// The row can't be understood for this reason. Whether that was not known.
    pub(super) fn note(&self, user: &UserId, reason: &str) -> bool {
        let mut rows = self.0.lock();
        if rows.len() >= ROWS_MAX && !rows.contains_key(user) {
            rows.clear();
        }
        rows.insert(user.clone(), reason.to_owned())
            .is_none_or(|known| known != reason)
    }

    /// The row was read. Whether it could not be before.
    pub(super) fn note_read(&self, user: &UserId) -> bool {
        let mut rows = self.0.lock();
        !rows.is_empty() && rows.remove(user).is_some()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> UserId {
        UserId::new(&format!("user-{number}")).unwrap()
    }

    #[test]
    fn a_row_is_noted_once_until_its_reason_changes_or_it_is_read() {
        let rows = UnreadableRows::default();
        assert!(!rows.note_read(&user(1)));
        assert!(rows.note(&user(1), "status"));
        assert!(!rows.note(&user(1), "status"));
        assert!(rows.note(&user(2), "status"), "another user");
        assert!(rows.note(&user(1), "revision"), "another reason");
        assert!(rows.note_read(&user(1)));
        assert!(!rows.note_read(&user(1)));
        assert!(rows.note(&user(1), "revision"), "again");
        assert!(!rows.note(&user(2), "status"));
    }

    #[test]
    fn the_rows_that_are_kept_are_bounded() {
        let rows = UnreadableRows::default();
        for number in 0..3 * ROWS_MAX {
            assert!(rows.note(&user(number), "status"));
            assert!(
                !rows.note(&user(number), "status"),
                "also when there is room for no other"
            );
            assert!(rows.len() <= ROWS_MAX);
        }
    }
}
