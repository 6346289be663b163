//! What a server of Redis tells of itself by `INFO` and `CONFIG GET`. Nothing here talks to one.

use std::collections::HashMap;

use presence::wire::rest::{Persistence, RedisInfo, ReplicaStats};
use redis::ConnectionAddr;

use crate::redis_url;

/// Reads the answer to `INFO`; `saves` is the setting `save`, if the server tells it.
pub(super) fn of(info: &str, saves: Option<&str>) -> RedisInfo {
    let fields: HashMap<&str, &str> = info
        .lines()
        .filter_map(|line| line.trim_end().split_once(':'))
        .collect();
    let text = |name: &str| fields.get(name).copied().unwrap_or_default();
    let number = |name: &str| text(name).parse().unwrap_or(0);
    let redis_version = text("redis_version").to_owned();
    let (kind, version) = match fields.get("server_name") {
        // Valkey has both.
        Some(name) => (*name, text(&format!("{name}_version")).to_owned()),
        None => ("redis", redis_version.clone()),
    };
    let written = number("master_repl_offset");
    RedisInfo {
        kind: kind.to_owned(),
        version,
        redis_version,
        role: text("role").to_owned(),
        uptime_seconds: number("uptime_in_seconds"),
        used_memory: number("used_memory"),
        max_memory: number("maxmemory"),
        eviction_policy: text("maxmemory_policy").to_owned(),
        persistence: persistence(text("aof_enabled") == "1", saves),
        persistence_error: persistence_error(&fields),
        replicas: (0..number("connected_slaves"))
            .filter_map(|index| replica(text(&format!("slave{index}")), written))
            .collect(),
    }
}

fn persistence(has_log: bool, saves: Option<&str>) -> Option<Persistence> {
    match (has_log, saves.map(|saves| !saves.trim().is_empty())) {
        (true, Some(true)) => Some(Persistence::Both),
        // There is something at least.
        (true, Some(false) | None) => Some(Persistence::Aof),
        (false, Some(true)) => Some(Persistence::Rdb),
        (false, Some(false)) => Some(Persistence::None),
        (false, None) => None,
    }
}

fn persistence_error(fields: &HashMap<&str, &str>) -> Option<String> {
    let checks = [
        ("rdb_last_bgsave_status", "the last snapshot failed"),
        ("aof_last_write_status", "the last write to the log of commands failed"),
        (
            "aof_last_bgrewrite_status",
            "the last rewrite of the log of commands failed",
        ),
    ];
    let failed = checks
        .into_iter()
        .find(|(name, _)| fields.get(name).is_some_and(|status| *status != "ok"));
    failed.map(|(_, what)| what.to_owned())
}

/// `ip=10.0.0.3,port=6379,state=online,offset=1234,lag=0`
fn replica(text: &str, written: u64) -> Option<ReplicaStats> {
    let fields: HashMap<&str, &str> = text.split(',').filter_map(|part| part.split_once('=')).collect();
    let number = |name: &str| fields.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
    let port = fields.get("port")?.parse().ok()?;
    Some(ReplicaStats {
        address: redis_url::server_name(&ConnectionAddr::Tcp((*fields.get("ip")?).to_owned(), port)),
        state: (*fields.get("state")?).to_owned(),
        lag_seconds: number("lag"),
        behind_bytes: written.saturating_sub(number("offset")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REDIS: &str = "# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:42\r\n\r\n# Memory\r\nused_memory:1048576\r\n\
                         maxmemory:4194304\r\nmaxmemory_policy:allkeys-lru\r\n\r\n# Persistence\r\nrdb_last_bgsave_status:ok\r\n\
                         aof_enabled:0\r\naof_last_write_status:ok\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
                         slave0:ip=10.0.0.3,port=6379,state=online,offset=900,lag=1\r\n\
                         slave1:ip=::1,port=6380,state=wait_bgsave,offset=0,lag=0\r\nmaster_repl_offset:1000\r\n";

    #[test]
    fn the_facts_that_a_server_tells_of_itself_are_read() {
        let info = of(REDIS, Some(""));
        assert_eq!((info.kind.as_str(), info.version.as_str()), ("redis", "7.0.15"));
        assert_eq!((info.role.as_str(), info.uptime_seconds), ("master", 42));
        assert_eq!((info.used_memory, info.max_memory), (1_048_576, 4_194_304));
        assert!(info.evicts() && !info.is_too_old());
        assert_eq!(info.memory_percent(), Some(25));
        assert_eq!(
            (info.persistence, &info.persistence_error),
            (Some(Persistence::None), &None)
        );
        let replicas: Vec<_> = info
            .replicas
            .iter()
            .map(|one| {
                (
                    one.address.as_str(),
                    one.state.as_str(),
                    one.lag_seconds,
                    one.behind_bytes,
                )
            })
            .collect();
        assert_eq!(
            replicas,
            [
                ("10.0.0.3:6379", "online", 1, 100),
                ("[::1]:6380", "wait_bgsave", 0, 1000)
            ]
        );
    }

    #[test]
    fn a_valkey_is_named_and_never_too_old() {
        let info = of(
            "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n",
            None,
        );
        assert_eq!((info.kind.as_str(), info.version.as_str()), ("valkey", "8.0.1"));
        assert!(!info.is_too_old());
    }

    #[test]
    fn versions_before_7_0_are_too_old() {
        for (version, is_too_old) in [
            ("6.2.14", true),
            ("7.0.0", false),
            ("7.2", false),
            ("10.1", false),
            ("", true),
        ] {
            let info = of(&format!("redis_version:{version}\r\n"), None);
            assert_eq!(info.is_too_old(), is_too_old, "{version:?}");
        }
    }

    #[test]
    fn persistence_is_known_as_far_as_the_server_tells() {
        let of = |log: u8, saves| of(&format!("aof_enabled:{log}\r\n"), saves).persistence;
        assert_eq!(of(0, Some("3600 1 300 100")), Some(Persistence::Rdb));
        assert_eq!(of(1, Some("3600 1")), Some(Persistence::Both));
        assert_eq!(
            (of(1, Some("")), of(1, None)),
            (Some(Persistence::Aof), Some(Persistence::Aof))
        );
        assert_eq!((of(0, Some("")), of(0, None)), (Some(Persistence::None), None));
    }

    #[test]
    fn policies_that_spare_keys_without_a_time_to_live_evict_nothing() {
        for (policy, evicts) in [
            ("noeviction", false),
            ("volatile-lru", false),
            ("allkeys-random", true),
            ("", false),
        ] {
            assert_eq!(
                of(&format!("maxmemory_policy:{policy}\r\n"), None).evicts(),
                evicts,
                "{policy}"
            );
        }
    }

    #[test]
    fn a_failed_snapshot_is_said() {
        let info = of("rdb_last_bgsave_status:err\r\naof_last_write_status:ok\r\n", None);
        assert_eq!(info.persistence_error.as_deref(), Some("the last snapshot failed"));
    }
}
