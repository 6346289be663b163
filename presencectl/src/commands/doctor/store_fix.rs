//! What helps against a problem of the store.

/// What helps against a problem of the store, by what the daemon says of it.
pub(super) fn of(kind: &str, error: &str) -> &'static str {
    match kind {
        "postgres" => postgres_fix(error),
        _ => sqlite_fix(error),
    }
}

fn postgres_fix(error: &str) -> &'static str {
    let fixes = [
        (
            "another daemon",
            "stop the other presenced on this database, then restart this one",
        ),
        (
            "restart needed",
            "put the database back in its place, or a backup, then restart presenced",
        ),
        (
            "holds a lock",
            "end the session that holds the lock: pg_locks and pg_stat_activity name it",
        ),
        (
            "free some space",
            "free disk space on the server: presenced resumes by itself",
        ),
        (
            "--database-password-file",
            "correct the user, the password's file or the server's pg_hba.conf: presenced resumes by itself",
        ),
    ];
    let fitting = fixes.iter().find(|(said, _)| error.contains(said));
    fitting.map_or(
        "look at the PostgreSQL server and its log: presenced resumes by itself",
        |(_, fix)| fix,
    )
}

fn sqlite_fix(error: &str) -> &'static str {
    let fixes = [
        (
            "removed or replaced",
            "put presence.db and its -wal back in their place, or a backup, then restart presenced",
        ),
        (
            "damaged",
            "stop presenced, move the database away with its -wal and -shm, put a backup in its place",
        ),
        (
            "restart needed",
            "restart presenced, and look for errors of the disk in the kernel's log",
        ),
        (
            "holds a lock",
            "end the program that holds the lock: `fuser presence.db` names it",
        ),
        ("free some space", "free disk space: presenced resumes by itself"),
        (
            "writable",
            "make the database and its directory writable: presenced resumes by itself",
        ),
    ];
    let fitting = fixes.iter().find(|(said, _)| error.contains(said));
    fitting.map_or(
        "see the daemon's log, and errors of the disk in the kernel's log",
        |(_, fix)| fix,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fix_of_the_store_fits_what_the_daemon_says() {
        for (error, fix) in [
            (
                "the database was removed or replaced: restart needed, with the database in its place: what is written now would be lost",
                "back in their place",
            ),
            (
                "the log of the database was removed or replaced: restart needed",
                "back in their place",
            ),
            (
                "database disk image is malformed: it is damaged and is left alone: stop the daemon and put a backup in its place",
                "backup in its place",
            ),
            (
                "disk I/O error: restart needed: the disk did not keep what it had taken",
                "restart presenced",
            ),
            ("database is locked: another process holds a lock on it", "fuser"),
            (
                "database or disk is full: free some space; service resumes by itself",
                "free disk space",
            ),
            (
                "attempt to write a readonly database: make it and its directory writable",
                "writable",
            ),
            ("the disk does not answer", "kernel's log"),
        ] {
            let found = of("sqlite", error);
            assert!(found.contains(fix), "{error}: {found}");
            assert_eq!(
                found.contains("free disk space"),
                error.contains("full"),
                "{error}: {found}"
            );
        }
    }

    #[test]
    fn the_fix_of_a_postgres_store_names_the_server() {
        for (error, fix) in [
            (
                "another daemon has taken the database over: presenced from 192.0.2.7: stop one of the two",
                "the other presenced",
            ),
            (
                "relation \"profile\" does not exist (42P01): restart needed, with the database in its place",
                "restart presenced",
            ),
            (
                "canceling statement due to lock timeout (55P03): another session holds a lock on the rows",
                "pg_locks",
            ),
            (
                "could not extend file (53100): free some space on the server",
                "on the server",
            ),
            (
                "password authentication failed (28P01): correct the password in --database-password-file",
                "pg_hba.conf",
            ),
            ("error connecting to server: Connection refused", "server and its log"),
        ] {
            let found = of("postgres", error);
            assert!(found.contains(fix), "{error}: {found}");
        }
    }
}
