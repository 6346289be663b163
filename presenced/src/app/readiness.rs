//! What `/readyz` looks at, and what it says. Unauthenticated callers read it: no address and no file is named.

use std::sync::Arc;

use presence::wire::rest::RedisStats;

use super::reload::LastReload;
use crate::api::{HealthCheck, Readiness};
use crate::clock::{Clock, STALL};
use crate::engine::Engine;
use crate::store::{Store, StoreHealth};

/// What `/readyz` looks at.
pub(super) fn build(store: Store, engine: Arc<Engine>, clock: Arc<Clock>, last_reload: LastReload) -> Readiness {
    Readiness::new(move || {
        let stall = clock.since_beat();
        let stalled = (stall > STALL).then(|| format!("the timer loop has not run for {} s", stall.as_secs()));
        let moving = engine
            .is_moving_clients()
            .then(|| "no clients are taken: they move to other nodes (presencectl drain)".to_owned());
        HealthCheck {
            store_error: store_error(&store.health()),
            is_store_shared: engine.is_shared() && store.is_on_server(),
            problems: stalled.into_iter().chain(moving).collect(),
            warnings: clock_warning(&clock)
                .into_iter()
                .chain(cluster_warnings(&engine))
                .collect(),
            reload: last_reload.lock().clone(),
        }
    })
}

/// Records of a stale partition may be behind, and are served all the same; so is what a Redis that is set up badly
/// may lose.
fn cluster_warnings(engine: &Engine) -> Vec<String> {
    let stale = engine.stale_partitions();
    let text = || format!("Redis can't be reached, or is full, for {stale} partitions: records may be stale");
    let unreachable = (stale > 0).then(text);
    let servers = engine.redis();
    unreachable
        .into_iter()
        .chain(servers.iter().flat_map(redis_warnings))
        .collect()
}

/// What an operator must do something about at a server of Redis. Unauthenticated callers read it, so the server is not named.
fn redis_warnings(server: &RedisStats) -> Vec<String> {
    let Some(info) = server.info.as_ref().filter(|_| server.reachable) else {
        return Vec::new();
    };
    let evicts = info.evicts().then(|| {
        let policy = &info.eviction_policy;
        format!("Redis removes keys when its memory is full: its maxmemory-policy is {policy}, not noeviction")
    });
    let memory = info.memory_percent().filter(|_| info.is_nearly_full());
    let full = memory.map(|percent| format!("Redis uses {percent} % of its maxmemory"));
    let error = info.persistence_error.as_ref();
    let failed = error.map(|error| format!("Redis can't keep its data on disk: {error}"));
    evicts.into_iter().chain(full).chain(failed).collect()
}

/// What a system's clock that went back means.
fn clock_warning(clock: &Clock) -> Option<String> {
    let behind = clock.behind()?.as_secs();
    Some(format!(
        "the system's clock went back and is {behind} s behind what it said before; until it has caught up, users of whom a \
         later time was told keep that time"
    ))
}

/// Why the store can't write, if it can't. Unauthenticated callers read it, so the file that it names first is left out.
fn store_error(health: &StoreHealth) -> Option<String> {
    if health.writable {
        return None;
    }
    let error = health.error.as_deref().unwrap_or("the reason is not known");
    Some(error.split_once("\": ").map_or(error, |(_, what)| what).to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use presence::Wall;
    use presence::wire::rest::RedisInfo;

    use super::*;

    #[test]
    fn a_clock_that_went_back_is_a_warning_and_no_problem() {
        let begin = Wall::from_millis(1_800_000_000_000);
        let clock = Clock::manual(begin);
        assert_eq!(clock_warning(&clock), None);
        clock.set_wall(begin.after(Duration::from_secs(3600)));
        assert_eq!(clock_warning(&clock), None);
        clock.set_wall(begin);
        assert!(clock_warning(&clock).is_some_and(|warning| warning.contains(" 3600 s behind")));
    }

    #[test]
    fn warnings_of_a_redis_name_what_is_wrong_and_no_address() {
        let of = |info: RedisInfo, reachable| RedisStats {
            address: "10.0.0.9:6379".to_owned(),
            reachable,
            error: None,
            answer_seconds: 0.0,
            tls: false,
            public: false,
            needs_password: None,
            denied: Vec::new(),
            info: Some(info),
        };
        let bad = RedisInfo {
            eviction_policy: "allkeys-lru".to_owned(),
            used_memory: 90,
            max_memory: 100,
            persistence_error: Some("the last snapshot failed".to_owned()),
            ..RedisInfo::default()
        };
        let warnings = redis_warnings(&of(bad.clone(), true));
        for (warning, part) in warnings.iter().zip(["allkeys-lru", "90 %", "snapshot"]) {
            assert!(warning.contains(part) && !warning.contains("10.0.0.9"), "{warning}");
        }
        assert_eq!(warnings.len(), 3);
        assert!(redis_warnings(&of(bad, false)).is_empty(), "it is not known any more");
        assert!(redis_warnings(&of(RedisInfo::default(), true)).is_empty());
    }
}
