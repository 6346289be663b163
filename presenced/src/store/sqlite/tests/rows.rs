//! Rows that no code of ours wrote.

use super::*;

#[tokio::test]
async fn a_row_that_cannot_be_understood_is_left_out_of_a_start() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    store
        .save_statuses(vec![status("alice", Status::Online, 1)])
        .await
        .unwrap();
    let bob = user("bob");
    let reported = store.save_report(&bob, report("app", 5), times(5), Version::NONE);
    reported.await.unwrap();
    store.close();
    dir.connect()
        .execute_batch(
            "INSERT INTO profile (user_id, connected_on)
             VALUES (' no user id ', '[\"here\"]'), (CAST(x'ff41' AS TEXT), '[\"here\"]'), ('no names', '[1]');
             INSERT INTO report SELECT user_id, 'no source', status, since, heard, version, NULL, NULL FROM report;",
        )
        .unwrap();
    let (_, startup) = dir.start();
    let names: Vec<_> = startup
        .present
        .iter()
        .map(|(user, row)| (user.as_str(), row.durable.reports.len()))
        .collect();
    assert_eq!(names, [("alice", 0), ("bob", 1)]);
}
