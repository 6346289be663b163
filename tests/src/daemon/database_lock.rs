//! The database of a daemon, locked by somebody else: what it writes has to wait.

use std::io::{BufRead as _, BufReader, Write as _};
use std::time::Duration;

use super::Daemon;
use crate::postgres_server::PostgresServer;
use crate::process::OwnedChild;

/// Until this is dropped nobody else writes users.
#[derive(Debug)]
#[expect(dead_code, reason = "the lock lives as long as what holds it")]
pub struct DatabaseLock(Holder);

#[derive(Debug)]
#[expect(dead_code, reason = "the lock lives as long as what holds it")]
enum Holder {
    Sqlite(rusqlite::Connection),
    Postgres(OwnedChild),
}

impl Daemon {
    /// Keeps the daemon from writing users.
    pub async fn lock_database(&self) -> DatabaseLock {
        if !self.setup.is_on_postgres() {
            let other = rusqlite::Connection::open(self.file("presence.db")).unwrap();
            other.busy_timeout(Duration::from_secs(10)).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            return DatabaseLock(Holder::Sqlite(other));
        }
        let server = PostgresServer::shared();
        let database = server.database_of(self.home.path());
        let locking = tokio::task::spawn_blocking(move || {
            let mut session = OwnedChild::from(server.session(&database));
            let lock = b"BEGIN; LOCK TABLE profile IN EXCLUSIVE MODE; SELECT 'locked';\n";
            session.stdin.as_mut().unwrap().write_all(lock).unwrap();
            let mut line = String::new();
            BufReader::new(session.stdout.as_mut().unwrap())
                .read_line(&mut line)
                .unwrap();
            assert_eq!(line.trim(), "locked");
            session
        });
        DatabaseLock(Holder::Postgres(locking.await.unwrap()))
    }
}
