//! Records are ordered by revision, across restarts of the daemon too.

use presence::{Revision, Status};

use super::*;

#[test]
fn a_response_after_a_resumed_restart_refreshes_unchanged_users() {
    let mut known_users = started(vec![update("ann", Status::Online, 5), update("bob", Status::Online, 5)]);
    let mut unchanged = record("ann", Status::Online, 5);
    unchanged.revision = Revision::new(70);
    unchanged.last_seen = Some(NOW);
    let mut changed = record("bob", Status::Idle, 80);
    changed.last_seen = Some(NOW);
    known_users.refresh(vec![unchanged, changed]);
    let (_, ann) = known_users.find(&user("ann")).unwrap();
    assert_eq!(ann.last_seen, Some(NOW));
    let (_, bob) = known_users.find(&user("bob")).unwrap();
    assert_ne!(bob.last_seen, Some(NOW), "the stream tells that");
}

#[test]
fn a_record_with_revision_0_is_always_taken() {
    let mut known_users = started(vec![update("ann", Status::Online, 5)]);
    let changes = known_users.apply(vec![update("ann", Status::Offline, 0)], NOW);
    assert_eq!(changes.len(), 1);
    let (_, row) = known_users.find(&user("ann")).unwrap();
    assert_eq!(row.status, Status::Offline);
    assert!(
        known_users
            .apply(vec![update("ann", Status::Offline, 0)], NOW)
            .is_empty()
    );
}
