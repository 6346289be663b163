//! Rows that no code of ours wrote, and the statements that read rows.

use rusqlite::StatementStatus;

use super::super::connection::{open_reader, open_writer};
use super::super::{durable_part, read};
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
             INSERT INTO profile (user_id, connected_on, revision)
             VALUES ('beyond', '[\"here\"]', 9223372036854775807), ('last', '[\"here\"]', 9007199254740991);
             INSERT INTO heartbeat (node, wall, ceiling, clean) VALUES ('beyond', 1, 9007199254740991, 1), ('here', 1, 7, 1);
             INSERT INTO report SELECT user_id, 'no source', status, since, heard, version, NULL, NULL, said FROM report;",
        )
        .unwrap();
    let (_, startup) = dir.start();
    let names: Vec<_> = startup
        .present
        .iter()
        .map(|(user, row)| (user.as_str(), row.durable.reports.len()))
        .collect();
    assert_eq!(names, [("alice", 0), ("bob", 1)]);
    assert_eq!(startup.latest_heartbeat().map(|heartbeat| heartbeat.ceiling), Some(7));
}

#[test]
fn statements_that_select_a_user_are_prepared_once() {
    let dir = DatabaseDir::new();
    dir.open().close();
    let writer = open_writer(&dir.path(), Duration::from_secs(1)).unwrap();
    let reader = open_reader(&dir.path(), Duration::from_secs(1)).unwrap();
    for (connection, sql) in [
        (&writer, durable_part::SELECT_REPORTS),
        (&writer, read::SELECT_USER),
        (&reader, read::SELECT_USER),
    ] {
        for name in ["alice", "bob", "carol"] {
            let mut statement = connection.prepare_cached(sql).unwrap();
            assert!(!statement.exists([name]).unwrap());
        }
        let statement = connection.prepare_cached(sql).unwrap();
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
    }
}
