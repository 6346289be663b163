//! Imports of an SQLite file: everything arrives as it was, once, however often the import is cut off and begun.

use std::path::{Path, PathBuf};

use presence::CustomStatus::{DoNotDisturb, Idle};
use presence::{History, NodeName, Revision, Status, SystemWall, UserId, Version};
use tempfile::TempDir;

use super::proxy::{Network, Proxy};
use super::{TestDatabase, until};
use crate::files::FREED_AFTER;
use crate::postgres_url::PostgresUrl;
use crate::store::tests::fixture::{metrics, report, status, times, user, wall};
use crate::store::{
    Heartbeat, ImportError, ImportEvent, ImportPlace, ImportReport, ImportStart, OpenError, OpenOptions, SkippedRow,
    Startup, Store, import, when_free,
};

/// Ids that some program between here and a table may take for something else.
const HOSTILE: [&str; 12] = [
    "'; DROP TABLE profile; --",
    "\\x00\\",
    "\"quoted\"",
    "{a,NULL,\"b\"}",
    "NULL",
    "%_$1:name",
    "a\u{202e}b",
    "e\u{301}",
    "\u{e9}",
    "\u{1f468}\u{200d}\u{1f469}",
    "\u{10ffff}\u{fffd}",
    "~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~",
];

/// An SQLite file, removed at the end.
pub(super) struct SourceFile(TempDir);

impl SourceFile {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.path().join("presence.db")
    }

    pub(super) fn start(&self) -> (Store, Startup) {
        when_free(|| Store::open(&self.path(), &OpenOptions::patient(), metrics())).unwrap()
    }

    pub(super) fn sql(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    /// A database with this many users, of whom every third has a custom status, every fourth a report.
    pub(super) fn with_users(count: u32) -> Self {
        let file = Self::new();
        file.start().0.close();
        file.sql(&format!(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {count})
             INSERT INTO profile (user_id, status, since, custom_status, custom_set_at, custom_set_by, custom_version, version,
               last_seen, last_active, revision)
             SELECT 'user-' || n, 'OFFLINE', 1000 + n, iif(n % 3, 'ONLINE', 'IDLE'), iif(n % 3, NULL, n), iif(n % 3, NULL, 'user'),
               iif(n % 3, 0, 2), 2, 2000 + n, 1500 + n, 100 + n FROM number;
             INSERT INTO report (user_id, source, status, since, heard, version, said)
             SELECT user_id, 'app', 'ONLINE', 5, 6, 2, 1 FROM profile WHERE revision % 4 = 0;"
        ));
        file
    }
}

impl TestDatabase<'_> {
    /// Imports a file into this database.
    pub(super) async fn import(&self, file: &Path) -> Result<ImportReport, ImportError> {
        self.import_at(&self.url(), file).await
    }

    async fn import_at(&self, url: &str, file: &Path) -> Result<ImportReport, ImportError> {
        for _ in 0..FREED_AFTER {
            match self.try_import(url, file).await {
                // A lock may outlive its file's close, as in `when_free`.
                Err(ImportError::From(OpenError::InUse { .. })) => tokio::task::yield_now().await,
                imported => return imported,
            }
        }
        self.try_import(url, file).await
    }

    /// The same of a file that may be in use.
    pub(super) async fn try_import(&self, url: &str, file: &Path) -> Result<ImportReport, ImportError> {
        let url = PostgresUrl::parse(url).unwrap();
        let place = ImportPlace {
            url: &url,
            password_file: None,
        };
        import(file, place, |_: ImportEvent<'_>| {}).await
    }

    /// All that an import may write.
    pub(super) fn contents(&self) -> String {
        let tables = ["profile", "report", "tombstone", "revocation", "heartbeat", "history"];
        let dump = |table| {
            self.sql(&format!(
                "SELECT {table} FROM {table} ORDER BY {table}::text COLLATE \"C\""
            ))
        };
        tables.map(dump).join("\n\n")
    }
}

/// Fills a database with all that a daemon leaves.
async fn fill(store: &Store) {
    for (number, name) in (1..).zip(HOSTILE) {
        store.set_custom(name, DoNotDisturb, number).await.unwrap();
        store.report(name, "app").await;
    }
    let plain = (0..2_500).map(|number| match number % 2 {
        0 => status(&format!("user-{number}"), Status::Online, 10_000 + number),
        _ => status(&format!("user-{number}"), Status::Offline, 10_000 + number),
    });
    store.save_statuses(plain.collect()).await.unwrap();
    for (name, revision) in [("user-1", 19_000), ("user-2", 19_001)] {
        store.set_custom(name, Idle, revision).await.unwrap();
    }
    let mut expiring = report("gateway.example", 7_000);
    expiring.expires_at = Some(wall(9_000));
    expiring.last_active = Some(wall(6_000));
    let reported = user("user-1");
    let saved = store.save_report(&reported, expiring, times(7_000), Version::new(40));
    saved.await.unwrap();
    store.set_custom("forgotten", Idle, 20_001).await.unwrap();
    store
        .forget(&user("forgotten"), Revision::new(20_002), wall(8_000))
        .await
        .unwrap();
    for (number, millis) in [(1, 1_700_000_000_123), (2, -5)] {
        let revoked = store.revoke_tokens([number; 32], SystemWall::from_millis(millis));
        revoked.await.unwrap();
    }
    let history = History {
        incarnation: u64::MAX - 7,
        from: Revision::new(10_100),
        to: Revision::new(30_000),
    };
    let end = Heartbeat {
        wall: wall(10_000),
        ceiling: 30_000,
        clean: true,
        history: Some(history),
    };
    store.save_heartbeat(&NodeName::new("the node"), end).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_has_every_row_as_it_was() {
    let (file, database) = (SourceFile::new(), TestDatabase::shared());
    let store = file.start().0;
    fill(&store).await;
    store.close();
    let report = database.import(&file.path()).await.unwrap();
    assert_eq!((report.users, report.reports, report.tombstones), (2_512, 13, 1));
    assert_eq!(report.revocations, 2);
    assert_eq!((report.custom_statuses, report.skipped), (14, 0));

    let (from, found) = file.start();
    let (to, imported) = database.start().await;
    assert_eq!(found.present, imported.present);
    assert_eq!(found.heartbeats, imported.heartbeats);
    assert_eq!(found.past_changes, imported.past_changes);
    assert_eq!((found.revocations.len(), found.revocations), (2, imported.revocations));
    assert!(imported.past_changes.is_some(), "cursors resume");
    let names = (0..2_500).map(|number| format!("user-{number}"));
    let users: Vec<UserId> = names
        .chain(HOSTILE.map(str::to_owned))
        .chain(["forgotten".to_owned()])
        .map(|name| user(&name))
        .collect();
    assert_eq!(from.rows(&users).await, to.rows(&users).await);
    assert_eq!(
        from.removed_at(&users).await.unwrap(),
        to.removed_at(&users).await.unwrap()
    );
    let (one, other) = (
        from.set_custom("forgotten", Idle, 40_000).await,
        to.set_custom("forgotten", Idle, 40_000).await,
    );
    assert_eq!(one.unwrap(), other.unwrap(), "versions go on above the forgotten ones");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_could_not_write_to_its_end_is_imported_with_its_end() {
    let (file, database) = (SourceFile::new(), TestDatabase::shared());
    let store = file.start().0;
    let at = |wall_ms: i64, ceiling: u64| Heartbeat {
        wall: wall(wall_ms),
        ceiling,
        clean: false,
        history: None,
    };
    store
        .save_heartbeat(&NodeName::new("here"), at(1_000, 70))
        .await
        .unwrap();
    assert!(store.tell_alive(at(9_000, 90)).await);
    store.close();
    database.import(&file.path()).await.unwrap();
    let (_, startup) = database.start().await;
    assert_eq!(startup.latest_heartbeat(), Some(at(9_000, 90)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_can_not_be_understood_are_named_and_left_out() {
    let (file, database) = (SourceFile::with_users(5), TestDatabase::shared());
    file.sql(
        "INSERT INTO profile (user_id, connected_on) VALUES (' ', '[]'), ('a' || char(27) || '[2J', '[]'), ('no names', '[1]'),
           (CAST(x'ff41' AS TEXT), '[]'), ('beyond', '[]');
         UPDATE profile SET revision = 9007199254740991 WHERE user_id = 'beyond';
         INSERT INTO report SELECT user_id, 'no source', status, since, heard, version, NULL, NULL, said FROM report;",
    );
    let imported = database.import(&file.path()).await.unwrap();
    let skipped: Vec<&str> = imported
        .skipped_rows
        .iter()
        .map(|SkippedRow { what, .. }| what.as_str())
        .collect();
    assert_eq!(
        skipped,
        [
            "user \" \"",
            "user \"a\\u{1b}[2J\"",
            "user \"beyond\"",
            "user \"no names\"",
            "report \"no source\" of user \"user-4\"",
            "user \"\u{fffd}A\"",
        ]
    );
    assert!(
        imported.skipped_rows[1].reason.contains("control characters"),
        "{imported:?}"
    );
    assert_eq!((imported.users, imported.reports, imported.skipped), (5, 1, 6));
    assert_eq!(database.sql("SELECT count(*) FROM profile"), "5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_cut_off_at_any_commit_goes_on_where_it_was() {
    let (file, whole) = (SourceFile::with_users(2_500), TestDatabase::shared());
    let store = file.start().0;
    store.set_custom("forgotten", Idle, 9).await.unwrap();
    store
        .forget(&user("forgotten"), Revision::new(10), wall(8_000))
        .await
        .unwrap();
    let revoked = store.revoke_tokens([7; 32], SystemWall::from_millis(9_000));
    revoked.await.unwrap();
    store.close();
    let expected = whole.import(&file.path()).await.unwrap();
    for network in [Network::LosesNextCommit, Network::LosesAnswer] {
        for commits in 0.. {
            let pieces = TestDatabase::shared();
            let port = pieces.server.port();
            let proxy = Proxy::before(port).await;
            proxy.set_after(commits, network);
            let Err(error) = pieces.import_at(&proxy.url(&pieces.url(), port), &file.path()).await else {
                assert_eq!(
                    commits, 8,
                    "the schema, the beginning, three parts, the tombstones, the revocations, and the end"
                );
                break;
            };
            // The first one is that of the schema.
            let is_told = error.to_string().contains("Run the same command again");
            assert!(is_told || commits == 0, "{error}");
            let rest = pieces.import(&file.path()).await.unwrap();
            let starts = [ImportStart::New, ImportStart::GoesOn, ImportStart::Done];
            assert!(starts.contains(&rest.start) && (commits < 2 || rest.start != ImportStart::New));
            assert_eq!(
                ImportReport {
                    start: expected.start,
                    database: expected.database.clone(),
                    ..rest
                },
                expected
            );
            assert_eq!(pieces.contents(), whole.contents(), "{network:?} after {commits}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_import_changes_nothing() {
    let (file, database) = (SourceFile::with_users(1_500), TestDatabase::shared());
    let first = database.import(&file.path()).await.unwrap();
    let contents = database.contents();
    assert_eq!(first.start, ImportStart::New);
    for _ in 0..2 {
        let again = database.import(&file.path()).await.unwrap();
        assert_eq!(again.start, ImportStart::Done);
        assert_eq!(
            ImportReport {
                start: first.start,
                ..again
            },
            first
        );
        assert_eq!(database.contents(), contents);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_used_after_an_import_is_imported_anew() {
    let (file, database) = (SourceFile::with_users(1_500), TestDatabase::shared());
    database.import(&file.path()).await.unwrap();
    let store = file.start().0;
    store
        .forget(&user("user-7"), Revision::new(90_000), wall(8_000))
        .await
        .unwrap();
    store.set_custom("user-8", DoNotDisturb, 90_001).await.unwrap();
    store.close();
    let again = database.import(&file.path()).await.unwrap();
    assert_eq!((again.start, again.users), (ImportStart::Again, 1_499));
    let to = database.open().await;
    assert_eq!(to.row("user-7").await, None);
    assert_eq!(to.custom("user-8").await, Some(DoNotDisturb));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_import_lowers_a_version_or_a_revision() {
    let (file, database) = (SourceFile::with_users(10), TestDatabase::shared());
    database.import(&file.path()).await.unwrap();
    database.sql(
        "UPDATE presence_import SET is_done = false, after_user = NULL;
         UPDATE profile SET version = 50, custom_status = 'DO_NOT_DISTURB' WHERE user_id = 'user-3';
         UPDATE profile SET revision = 90000, status = 'ONLINE' WHERE user_id = 'user-4';
         UPDATE profile SET last_seen = 90000 WHERE user_id = 'user-5';
         UPDATE report SET version = 50, status = 'IDLE' WHERE user_id = 'user-8'",
    );
    let contents = database.contents();
    let again = database.import(&file.path()).await.unwrap();
    assert_eq!(again.start, ImportStart::GoesOn);
    assert_eq!(database.contents(), contents);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_nodes_start_at_once_on_an_imported_database() {
    let (file, database) = (SourceFile::with_users(10), TestDatabase::shared());
    database.import(&file.path()).await.unwrap();
    let opening = (0..10).map(|_| database.open_node());
    for store in futures_util::future::join_all(opening).await {
        assert_eq!(store.custom("user-3").await, Some(Idle));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_daemon_uses_a_part_of_an_import() {
    let (file, database) = (SourceFile::with_users(10), TestDatabase::shared());
    database.import(&file.path()).await.unwrap();
    database.sql("UPDATE presence_import SET is_done = false");
    let error = database.open_error(&database.url(), None).await;
    assert!(
        error.contains("part of an import") && error.contains("presenced import"),
        "{error}"
    );
    database.import(&file.path()).await.unwrap();
    let store = database.open().await;
    assert_eq!(store.custom("user-3").await, Some(Idle));
    until(async || database.sql("SELECT to_regclass('presence_import') IS NULL") == "t").await;
}
