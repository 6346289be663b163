//! Checks of the servers of Redis, as the daemon that is asked sees them.

use std::time::Duration;

use presence::wire::rest::{Persistence, RedisInfo, RedisStats};

use super::{Check, Outcome};
use crate::output::number::bytes;
use crate::output::time::length;

/// A replica says every second how far it is.
const REPLICA_LAG_WARN_SECONDS: u64 = 5;
/// A replica that lacks more has stopped to keep up: some seconds of a busy cluster.
const REPLICA_BEHIND_WARN_BYTES: u64 = 16 << 20;

/// The checks of all servers.
pub(super) fn check(servers: &[RedisStats]) -> Vec<Check> {
    if servers.is_empty() {
        return vec![Check::new(
            "redis",
            Outcome::Note,
            "the daemon has not looked at Redis yet",
        )];
    }
    servers.iter().flat_map(check_server).collect()
}

fn check_server(server: &RedisStats) -> Vec<Check> {
    let mut checks = vec![reached(server)];
    checks.extend(access(server));
    if !server.denied.is_empty() {
        checks.push(denied(server));
    }
    // What a server that is gone told before may have changed since.
    if let Some(info) = server.info.as_ref().filter(|_| server.reachable) {
        let (policy, memory) = (eviction(server, info), memory(server, info));
        checks.extend(
            [policy, memory, persistence(server, info), replicas(server, info)]
                .into_iter()
                .flatten(),
        );
    }
    checks
}

fn reached(server: &RedisStats) -> Check {
    let address = &server.address;
    if !server.reachable {
        let error = server.error.as_deref().unwrap_or("it does not answer");
        return Check::fail("redis", format!("{address} can't be reached from the daemon: {error}")).fix(
            "start it, or correct the network, --redis and --redis-password-file; the nodes go on with what they know, and \
             records are stale until then",
        );
    }
    let took = match Duration::try_from_secs_f64(server.answer_seconds).unwrap_or_default() {
        short if short.as_millis() == 0 => "under 1ms".to_owned(),
        took => length(took),
    };
    let Some(info) = &server.info else {
        return Check::ok("redis", format!("{address} answers in {took}"));
    };
    let version = format!("{} {}", info.kind, info.version);
    if info.is_too_old() {
        return Check::fail("redis", format!("{address} is {version}: too old"))
            .fix("use Redis 7.0 or newer, or Valkey");
    }
    if info.role != "master" {
        return Check::fail("redis", format!("{address} is a replica: it takes no writes"))
            .fix("name the master in --redis, or an address that follows it after a failover");
    }
    let used = match info.max_memory {
        0 => format!("{} used, no limit", bytes(info.used_memory)),
        most => format!("{} of {} used", bytes(info.used_memory), bytes(most)),
    };
    let kept = match info.persistence {
        Some(Persistence::None) => ", keeps nothing on disk",
        Some(Persistence::Rdb) => ", keeps snapshots",
        Some(Persistence::Aof) => ", keeps a log (AOF)",
        Some(Persistence::Both) => ", keeps snapshots and a log (AOF)",
        None => "",
    };
    Check::ok(
        "redis",
        format!("{address} is {version}, answers in {took}, {used}{kept}"),
    )
}

fn access(server: &RedisStats) -> Option<Check> {
    let address = &server.address;
    if !server.public {
        return None;
    }
    if server.needs_password == Some(false) {
        let found =
            format!("{address} is a public address, and Redis asks for no password: whoever reaches it owns it");
        return Some(Check::fail("redis-access", found).fix(
            "give its users passwords (`ACL SETUSER`, requirepass), name one with --redis-password-file, and let a firewall \
             keep strangers out",
        ));
    }
    (!server.tls).then(|| {
        let found =
            format!("{address} is a public address without TLS: the password and all user ids travel in clear text");
        Check::warn("redis-access", found).fix("use rediss:// in --redis, or a private network")
    })
}

fn denied(server: &RedisStats) -> Check {
    let commands = server.denied.join(" and ");
    let found = format!(
        "{} does not let the daemon call {commands}: what that tells is not checked",
        server.address
    );
    Check::new("redis", Outcome::Note, found).fix("allow it to the daemon's user: `ACL SETUSER USER +info +config|get`")
}

fn eviction(server: &RedisStats, info: &RedisInfo) -> Option<Check> {
    if !info.evicts() {
        return None;
    }
    let (address, policy) = (&server.address, &info.eviction_policy);
    let fix = "redis-cli config set maxmemory-policy noeviction, and the same in redis.conf";
    Some(match info.max_memory {
        0 => Check::warn(
            "eviction",
            format!("{address} has the policy {policy}: with a maxmemory it would remove the users of whole partitions"),
        ),
        _ => Check::fail(
            "eviction",
            format!(
                "{address} has the policy {policy}: when its memory is full, it removes the users of whole partitions"
            ),
        ),
    }
    .fix(fix))
}

fn memory(server: &RedisStats, info: &RedisInfo) -> Option<Check> {
    let percent = info.memory_percent().filter(|_| info.is_nearly_full())?;
    let found = format!(
        "{} uses {percent} % of its maxmemory ({} of {})",
        server.address,
        bytes(info.used_memory),
        bytes(info.max_memory)
    );
    Some(Check::warn("redis-memory", found).fix(
        "raise maxmemory, or keep other data elsewhere: when it is full, users who come are told to nobody on other nodes",
    ))
}

fn persistence(server: &RedisStats, info: &RedisInfo) -> Option<Check> {
    let address = &server.address;
    if let Some(error) = &info.persistence_error {
        return Some(
            Check::warn("persistence", format!("{address}: {error}"))
                .fix("look at its disk and its log: with stop-writes-on-bgsave-error it takes no writes until then"),
        );
    }
    (info.persistence == Some(Persistence::None)).then(|| {
        Check::new(
            "persistence",
            Outcome::Note,
            format!("{address} keeps nothing on disk: after a restart it is empty, and the nodes fill it again"),
        )
        .fix("nothing needs to be done; `appendonly yes` keeps live state when Redis and all nodes stop at once")
    })
}

fn replicas(server: &RedisStats, info: &RedisInfo) -> Option<Check> {
    let behind: Vec<String> = info
        .replicas
        .iter()
        .filter(|one| {
            one.state != "online"
                || one.lag_seconds >= REPLICA_LAG_WARN_SECONDS
                || one.behind_bytes >= REPLICA_BEHIND_WARN_BYTES
        })
        .map(|one| {
            format!(
                "{} ({}, silent for {} s, {} behind)",
                one.address,
                one.state,
                one.lag_seconds,
                bytes(one.behind_bytes)
            )
        })
        .collect();
    (!behind.is_empty()).then(|| {
        let found = format!("replicas of {} are behind: {}", server.address, behind.join(", "));
        Check::warn("replicas", found)
            .fix("look at the network and at the replica: a failover to it loses the changes that it lacks")
    })
}

#[cfg(test)]
mod tests {
    use presence::wire::rest::ReplicaStats;

    use super::*;

    fn server(info: RedisInfo) -> RedisStats {
        RedisStats {
            address: "10.0.0.9:6379".to_owned(),
            reachable: true,
            error: None,
            answer_seconds: 0.0008,
            tls: false,
            public: false,
            needs_password: Some(true),
            denied: Vec::new(),
            info: Some(info),
        }
    }

    fn info() -> RedisInfo {
        RedisInfo {
            kind: "redis".to_owned(),
            version: "7.0.15".to_owned(),
            redis_version: "7.0.15".to_owned(),
            role: "master".to_owned(),
            uptime_seconds: 60,
            used_memory: 12 << 20,
            max_memory: 100 << 20,
            eviction_policy: "noeviction".to_owned(),
            persistence: Some(Persistence::Aof),
            persistence_error: None,
            replicas: Vec::new(),
        }
    }

    /// The findings that are not ok.
    fn findings(server: RedisStats) -> Vec<(&'static str, Outcome, String)> {
        let found = check(&[server]).into_iter().filter(|check| check.result != Outcome::Ok);
        found
            .map(|check| {
                assert!(check.fix.is_some(), "each has a fix: {check:?}");
                (check.name, check.result, check.found)
            })
            .collect()
    }

    fn finding(server: RedisStats) -> (&'static str, Outcome, String) {
        let [found] = findings(server).try_into().unwrap();
        found
    }

    #[test]
    fn a_server_that_is_set_up_well_is_one_line() {
        let checks = check(&[server(info())]);
        assert_eq!(checks.len(), 1);
        let expected = "10.0.0.9:6379 is redis 7.0.15, answers in under 1ms, 12 MiB of 100 MiB used, keeps a log (AOF)";
        assert_eq!((checks[0].result, checks[0].found.as_str()), (Outcome::Ok, expected));
    }

    #[test]
    fn a_server_that_is_gone_is_a_failure_and_nothing_else_is_said_of_it() {
        let gone = RedisStats {
            reachable: false,
            error: Some("Connection refused".to_owned()),
            ..server(RedisInfo {
                persistence: Some(Persistence::None),
                ..info()
            })
        };
        let (name, result, found) = finding(gone);
        assert_eq!((name, result), ("redis", Outcome::Fail));
        assert!(found.contains("10.0.0.9:6379") && found.contains("refused"), "{found}");
    }

    #[test]
    fn an_evicting_policy_is_named() {
        let of = |policy: &str, max_memory| {
            server(RedisInfo {
                eviction_policy: policy.to_owned(),
                max_memory,
                ..info()
            })
        };
        let (name, result, found) = finding(of("allkeys-lru", 100 << 20));
        assert_eq!((name, result), ("eviction", Outcome::Fail));
        assert!(found.contains("allkeys-lru"), "{found}");
        assert_eq!(finding(of("allkeys-lru", 0)).1, Outcome::Warn);
        assert_eq!(findings(of("volatile-lru", 100 << 20)), []);
    }

    #[test]
    fn memory_over_80_percent_of_its_limit_is_a_warning() {
        let of = |used_memory| server(RedisInfo { used_memory, ..info() });
        assert_eq!(findings(of(79 << 20)), []);
        let (name, result, found) = finding(of(85 << 20));
        assert_eq!((name, result), ("redis-memory", Outcome::Warn));
        assert!(found.contains("85 %"), "{found}");
    }

    #[test]
    fn no_persistence_is_a_note_and_a_failed_snapshot_a_warning() {
        let none = RedisInfo {
            persistence: Some(Persistence::None),
            ..info()
        };
        let (name, result, _) = finding(server(none));
        assert_eq!((name, result), ("persistence", Outcome::Note));
        let failed = RedisInfo {
            persistence_error: Some("the last snapshot failed".to_owned()),
            ..info()
        };
        let (name, result, _) = finding(server(failed));
        assert_eq!((name, result), ("persistence", Outcome::Warn));
    }

    #[test]
    fn a_public_address_needs_a_password_and_should_have_tls() {
        let of = |public, needs_password, tls| RedisStats {
            public,
            needs_password,
            tls,
            ..server(info())
        };
        let (name, result, _) = finding(of(true, Some(false), true));
        assert_eq!((name, result), ("redis-access", Outcome::Fail));
        assert_eq!(finding(of(true, Some(true), false)).1, Outcome::Warn);
        assert_eq!(findings(of(true, Some(true), true)), []);
        assert_eq!(findings(of(false, Some(false), false)), []);
    }

    #[test]
    fn an_old_version_and_a_replica_are_failures() {
        let old = RedisInfo {
            version: "6.2.1".to_owned(),
            redis_version: "6.2.1".to_owned(),
            ..info()
        };
        let (name, result, found) = finding(server(old));
        assert_eq!((name, result), ("redis", Outcome::Fail));
        assert!(found.contains("6.2.1"), "{found}");
        let replica = RedisInfo {
            role: "slave".to_owned(),
            ..info()
        };
        assert_eq!(finding(server(replica)).1, Outcome::Fail);
    }

    #[test]
    fn commands_that_the_daemon_may_not_call_are_a_note() {
        let (name, result, found) = finding(RedisStats {
            denied: vec!["CONFIG".to_owned()],
            ..server(info())
        });
        assert_eq!((name, result), ("redis", Outcome::Note));
        assert!(found.contains("CONFIG"), "{found}");
    }

    #[test]
    fn a_replica_that_is_behind_is_named() {
        let of = |state: &str, lag_seconds, behind_bytes| {
            server(RedisInfo {
                replicas: vec![ReplicaStats {
                    address: "10.0.0.10:6379".to_owned(),
                    state: state.to_owned(),
                    lag_seconds,
                    behind_bytes,
                }],
                ..info()
            })
        };
        assert_eq!(findings(of("online", 1, 4_096)), []);
        for behind in [of("wait_bgsave", 0, 0), of("online", 7, 0), of("online", 0, 64 << 20)] {
            let (name, result, found) = finding(behind);
            assert_eq!((name, result), ("replicas", Outcome::Warn));
            assert!(found.contains("10.0.0.10:6379"), "{found}");
        }
    }
}
