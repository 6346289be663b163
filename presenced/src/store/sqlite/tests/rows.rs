//! Rows that no code of ours wrote, and the statements that read rows.

use presence::CustomStatus::Idle;
use presence::{History, NodeName};
use rusqlite::StatementStatus;

use super::super::connection::{open_reader, open_writer};
use super::super::{durable_part, read, statements};
use super::*;
use crate::store::{HEARTBEAT_KEPT, Heartbeat};

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

/// Each statement is made to change nothing, without an error of its own.
#[tokio::test]
async fn a_write_that_changed_nothing_is_not_acknowledged() {
    for (table, event) in [
        ("profile", "INSERT"),
        ("profile", "UPDATE"),
        ("profile", "DELETE"),
        ("report", "INSERT"),
        ("report", "UPDATE"),
        ("tombstone", "INSERT"),
        ("heartbeat", "INSERT"),
    ] {
        let dir = DatabaseDir::new();
        let store = dir.open();
        store
            .save_report(&user("known"), report("app", 5), times(5), Version::NONE)
            .await
            .unwrap();
        let ignore = format!("CREATE TRIGGER ignore BEFORE {event} ON {table} BEGIN SELECT RAISE(IGNORE); END");
        dir.connect().execute_batch(&ignore).unwrap();
        let name = if event == "INSERT" { "new" } else { "known" };
        let alice = user(name);
        let node = presence::NodeName::new("here");
        let beat = crate::store::tests::fixture::heartbeat(1, 1, false);
        let is_refused = |saved: Result<(), StoreError>| matches!(saved, Err(StoreError::Refused { .. }));
        let refused = [
            is_refused(store.set_custom_at(name, Idle, 1).await),
            is_refused(store.save_statuses(vec![status(name, Status::Online, 1)]).await),
            is_refused(
                store
                    .save_report(&alice, report("app", 9), times(9), Version::NONE)
                    .await
                    .map(|_| ()),
            ),
            is_refused(store.forget(&alice, Revision::new(9), wall(1)).await),
            is_refused(store.save_heartbeat(&node, beat).await),
        ];
        let expected = match (table, event) {
            ("profile", "INSERT" | "UPDATE") => [true, true, true, false, false],
            ("profile", _) | ("tombstone", _) => [false, false, false, true, false],
            ("report", _) => [false, false, true, false, false],
            _ => [false, false, false, false, true],
        };
        assert_eq!(refused, expected, "{event} {table}");
    }
}

#[test]
fn statements_that_select_a_user_are_prepared_once() {
    let dir = DatabaseDir::new();
    dir.open().close();
    let writer = open_writer(&dir.path(), Duration::from_secs(1)).unwrap();
    let reader = open_reader(&dir.path(), Duration::from_secs(1)).unwrap();
    for (connection, sql) in [
        (&writer, durable_part::SELECT_PART),
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

/// A temporary table costs more than everything else that is done with a row.
#[test]
fn writes_of_users_make_no_temporary_tables() {
    let dir = DatabaseDir::new();
    dir.open().close();
    let writer = open_writer(&dir.path(), Duration::from_secs(1)).unwrap();
    for sql in [
        durable_part::SAVE_PREFERENCE,
        durable_part::RAISE_VERSION,
        durable_part::SAVE_REPORT,
        durable_part::SELECT_PART,
        statements::SAVE_STATUS,
    ] {
        let mut explain = writer.prepare(&format!("EXPLAIN {sql}")).unwrap();
        let mut rows = explain.raw_query();
        let mut steps: Vec<String> = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get("opcode").unwrap());
        }
        let temporary = |step: &&String| step.contains("Ephemeral") || step.starts_with("Sorter");
        assert_eq!(steps.iter().find(temporary), None, "{sql}");
    }
}

#[tokio::test]
async fn a_history_is_kept_for_as_long_as_its_run_is_the_last() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    let kept = || {
        let connection = dir.connect();
        let mut statement = connection
            .prepare("SELECT node, incarnation FROM history ORDER BY node")
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect::<Vec<(String, i64)>>()
    };
    let save = async |node: &str, wall_millis: i64, incarnation: Option<u64>| {
        let heartbeat = Heartbeat {
            wall: wall(wall_millis),
            ceiling: 100,
            clean: incarnation.is_some(),
            history: incarnation.map(|incarnation| History {
                incarnation,
                from: Revision::new(5),
                to: Revision::new(100),
            }),
        };
        store.save_heartbeat(&NodeName::new(node), heartbeat).await.unwrap();
    };
    let of = |node: &str, incarnation| (node.to_owned(), incarnation);
    save("here", 1, Some(7)).await;
    save("here", 2, Some(8)).await;
    assert_eq!(kept(), [of("here", 8)], "the last one's alone");
    save("there", 3, Some(9)).await;
    assert_eq!(kept(), [of("here", 8), of("there", 9)]);
    save("here", 4, None).await;
    assert_eq!(kept(), [of("there", 9)], "the next run has begun");
    let gone = i64::try_from(HEARTBEAT_KEPT.as_millis()).unwrap() + 10;
    let later = Heartbeat {
        ceiling: 200,
        ..crate::store::tests::fixture::heartbeat(gone, 1, false)
    };
    store.save_heartbeat(&NodeName::new("here"), later).await.unwrap();
    assert_eq!(kept(), [], "a node that is gone for a day leaves nothing");
}
