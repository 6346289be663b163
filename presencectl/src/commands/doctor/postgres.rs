//! Checks of the PostgreSQL server, as it was when the daemon last connected.

use presence::wire::rest::PostgresInfo;

use super::Check;

/// The oldest version that has all that is used.
const VERSION_MIN: u32 = 12;
/// A node has up to so many connections.
const CONNECTIONS_PER_NODE: u64 = 4;
/// Above this percentage of the most connections, other clients of the server find none left.
const CONNECTIONS_FULL_PERCENT: u64 = 80;

/// The checks of the server that `nodes` nodes use.
pub(super) fn check(server: &PostgresInfo, nodes: usize) -> Vec<Check> {
    let found: Vec<Check> = [
        version(server),
        durability(server),
        vacuum(server),
        connections(server, nodes),
    ]
    .into_iter()
    .flatten()
    .collect();
    match found.is_empty() {
        true => vec![Check::ok("postgres", well(server))],
        false => found,
    }
}

fn well(server: &PostgresInfo) -> String {
    let standbys = match server.synchronous_standbys.as_deref() {
        None | Some("") => "a commit waits for no standby".to_owned(),
        Some(names) => format!("a commit waits for {names}"),
    };
    let most = server.max_connections;
    let most = most
        .map(|most| format!(", at most {most} connections"))
        .unwrap_or_default();
    format!("PostgreSQL {}, {standbys}{most}", server.version)
}

fn version(server: &PostgresInfo) -> Option<Check> {
    let major = server.version.split(['.', ' ']).next()?.parse::<u32>().ok()?;
    (major < VERSION_MIN).then(|| {
        Check::fail(
            "postgres",
            format!("the server is PostgreSQL {}: too old", server.version),
        )
        .fix(format!("upgrade it to PostgreSQL {VERSION_MIN} or newer"))
    })
}

fn durability(server: &PostgresInfo) -> Option<Check> {
    let off: Vec<&str> = [("fsync", server.fsync), ("full_page_writes", server.full_page_writes)]
        .into_iter()
        .filter(|(_, value)| *value == Some(false))
        .map(|(name, _)| name)
        .collect();
    let first = off.first()?;
    let found = format!(
        "{} off: acknowledged custom statuses are lost when the server's machine fails",
        match off.len() {
            1 => format!("{first} is"),
            _ => format!("{} are", off.join(" and ")),
        }
    );
    let sql: Vec<String> = off
        .iter()
        .map(|name| format!("ALTER SYSTEM SET {name} = on;"))
        .collect();
    Some(Check::fail("postgres", found).fix(format!("{} SELECT pg_reload_conf();", sql.join(" "))))
}

fn vacuum(server: &PostgresInfo) -> Option<Check> {
    (server.autovacuum == Some(false)).then(|| {
        Check::warn(
            "postgres",
            "autovacuum is off: the tables grow with every change of a status",
        )
        .fix("ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();")
    })
}

fn connections(server: &PostgresInfo, nodes: usize) -> Option<Check> {
    let most = u64::from(server.max_connections?);
    let used = CONNECTIONS_PER_NODE.saturating_mul(nodes.max(1) as u64);
    (used.saturating_mul(100) > most.saturating_mul(CONNECTIONS_FULL_PERCENT)).then(|| {
        Check::warn(
            "postgres",
            format!("{nodes} nodes take up to {used} of at most {most} connections of the server"),
        )
        .fix("raise max_connections in postgresql.conf, and restart the server")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Outcome;

    fn server() -> PostgresInfo {
        PostgresInfo {
            version: "15.14 (Debian 15.14-0+deb12u1)".to_owned(),
            fsync: Some(true),
            full_page_writes: Some(true),
            autovacuum: Some(true),
            synchronous_standbys: Some(String::new()),
            max_connections: Some(100),
        }
    }

    fn one(server: &PostgresInfo, nodes: usize) -> (Outcome, String, Option<String>) {
        let [check] = check(server, nodes).try_into().unwrap();
        assert_eq!(check.name, "postgres");
        (check.result, check.found, check.fix)
    }

    #[test]
    fn a_server_that_is_set_up_well_is_one_line() {
        let (result, found, _) = one(&server(), 3);
        let expected =
            "PostgreSQL 15.14 (Debian 15.14-0+deb12u1), a commit waits for no standby, at most 100 connections";
        assert_eq!((result, found.as_str()), (Outcome::Ok, expected));
    }

    #[test]
    fn settings_that_lose_what_is_acknowledged_are_failures() {
        let off = PostgresInfo {
            fsync: Some(false),
            full_page_writes: Some(false),
            ..server()
        };
        let (result, found, fix) = one(&off, 1);
        assert_eq!(result, Outcome::Fail);
        assert!(found.starts_with("fsync and full_page_writes are off"), "{found}");
        assert!(fix.unwrap().contains("ALTER SYSTEM SET full_page_writes = on;"));
        let torn = PostgresInfo {
            full_page_writes: Some(false),
            ..server()
        };
        assert!(one(&torn, 1).1.starts_with("full_page_writes is off"));
    }

    #[test]
    fn an_old_server_no_autovacuum_and_few_connections_are_found() {
        let with = |change: fn(&mut PostgresInfo)| {
            let mut server = server();
            change(&mut server);
            server
        };
        assert_eq!(
            one(&with(|server| server.version = "11.9".to_owned()), 1).0,
            Outcome::Fail
        );
        assert_eq!(one(&with(|server| server.autovacuum = Some(false)), 1).0, Outcome::Warn);
        assert_eq!(one(&server(), 20).0, Outcome::Ok);
        assert_eq!(one(&server(), 21).0, Outcome::Warn);
    }

    #[test]
    fn settings_that_another_engine_does_not_tell_are_no_problem() {
        let other = PostgresInfo {
            version: "CockroachDB".to_owned(),
            ..PostgresInfo::default()
        };
        assert_eq!(one(&other, 50).0, Outcome::Ok);
    }
}
