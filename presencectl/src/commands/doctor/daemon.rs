//! Checks of the daemon: its own health endpoints and statistics, and what is visible from outside.

use std::time::Duration;

use presence::Wall;
use presence::wire::rest::{LimitStats, ReloadStats, StallStats, Stats};

use super::{Check, Outcome, Reachability, certificate, nodes, postgres, redis, store_fix};
use crate::client::discover::{Credential, Target};
use crate::client::rest::Rest;
use crate::client::websocket::{Identity, WebSocket};
use crate::failure::{Exit, Failure};
use crate::output::time::{length, relative};

/// A larger difference between clocks is a warning.
const CLOCK_WARN: Duration = Duration::from_secs(2);
/// A larger difference is a failure: tokens have a leeway of one minute.
const CLOCK_FAIL: Duration = Duration::from_secs(60);
/// With fewer open files the daemon holds fewer connections than most deployments need.
const OPEN_FILES_FEW: u64 = 4096;
/// Above this percentage of the connection limit is a warning.
const CONNECTIONS_FULL_PERCENT: u64 = 80;

/// The checks that need no credential: liveness and readiness.
pub(super) async fn check_alive(rest: &Rest, checks: &mut Vec<Check>) -> Reachability {
    match rest.health("healthz").await {
        Ok(_) => checks.push(Check::ok("reachable", "the daemon responds")),
        Err(failure) => {
            let reached = if failure.exit() == Some(Exit::Unreachable) {
                Reachability::No
            } else {
                Reachability::Yes
            };
            checks.push(Check::of_failure("reachable", &failure));
            return reached;
        }
    }
    checks.push(ready(rest).await);
    Reachability::Yes
}

/// Runs all checks, the most basic ones first. Checks that depend on a failed one are omitted.
pub(super) async fn check(rest: &Rest, checks: &mut Vec<Check>) -> Reachability {
    let reached = check_alive(rest, checks).await;
    if checks
        .iter()
        .any(|check| check.name == "reachable" && check.result == Outcome::Fail)
    {
        return reached;
    }
    let before = crate::clock::wall();
    let stats = rest.stats().await;
    let after = crate::clock::wall();
    checks.push(credential(&rest.target().credential, &stats));
    if let Ok(stats) = &stats {
        checks.push(store(stats));
        if let Some(server) = &stats.store.server {
            let nodes = stats.cluster.as_ref().map_or(1, |cluster| cluster.nodes.len());
            checks.extend(postgres::check(server, nodes));
        }
        checks.push(stalls(stats));
        checks.push(limits(
            &stats.limits,
            stats.sessions.connections + stats.sessions.observers,
        ));
        checks.push(clock(stats.now, before, after));
        checks.push(version(&stats.version));
        checks.push(certificate::check(stats.tls.as_ref(), stats.now));
        checks.extend(stats.reload.as_ref().and_then(reload));
        if let Some(cluster) = &stats.cluster {
            checks.extend(nodes::check(cluster));
            if cluster.nodes.len() > 1 {
                let asked = rest.nodes_that_answer().await;
                checks.extend(asked.map_or_else(
                    |failure| vec![Check::of_failure("nodes", &failure)],
                    |answer| nodes::check_answers(&answer),
                ));
            }
            checks.extend(redis::check(&cluster.redis));
        }
    }
    if matches!(rest.target().credential, Credential::Secret { .. }) && stats.is_ok() {
        checks.push(web_socket(rest.target()).await);
    }
    checks.push(proxy(stats.is_ok_and(|stats| stats.proxy_named)));
    Reachability::Yes
}

fn proxy(is_named: bool) -> Check {
    match is_named {
        true => Check::ok("proxy", "the proxy in front is named with --trusted-proxy"),
        false => Check::new(
            "proxy",
            Outcome::Note,
            "a proxy that adds no X-Forwarded-For or similar header can't be detected; start presenced with --trusted-proxy for it",
        ),
    }
}

/// What helps a node that an operator has drained.
const IS_DRAINED: &str = "it was drained: restart it, or `presencectl drain NODE --cancel`";

async fn ready(rest: &Rest) -> Check {
    match rest.health("readyz").await {
        Ok(health) if health.ok && health.warnings.is_empty() => Check::ok("ready", "the daemon is ready"),
        Ok(health) if health.ok => {
            let fix = warning_fix(&health.warnings);
            Check::warn("ready", health.warnings.join("; ")).fix(fix)
        }
        Ok(health) => Check::fail("ready", health.problems.join("; ")).fix(problem_fix(&health.problems)),
        Err(failure) => Check::of_failure("ready", &failure),
    }
}

/// What helps a daemon that is not ready.
fn problem_fix(problems: &[String]) -> &'static str {
    match problems {
        [problem] if problem.contains("presencectl drain") => IS_DRAINED,
        _ => "see the daemon's log and docs/operations.md",
    }
}

/// What helps against the warnings of a daemon that is ready, by what it says of them.
fn warning_fix(warnings: &[String]) -> String {
    let fixes = [
        (
            "reload",
            "correct what the log names, and reload again: `pkill -HUP -x presenced`",
        ),
        ("clock", "see \"Clocks\" in docs/operations.md"),
        (
            "the store can't write",
            "the check of the store says what helps; all nodes go on without it",
        ),
        (
            "Redis can't be reached",
            "see whether Redis runs and can be reached from the daemon: `redis-cli -h HOST ping`",
        ),
        ("maxmemory", "the checks of Redis below say what helps"),
        ("Redis can't keep", "the check of its persistence below says what helps"),
    ];
    let fitting: Vec<&str> = fixes
        .iter()
        .filter(|(said, _)| warnings.iter().any(|warning| warning.contains(said)))
        .map(|(_, fix)| *fix)
        .collect();
    if fitting.is_empty() {
        "see the daemon's log".to_owned()
    } else {
        fitting.join("; ")
    }
}

fn credential(credential: &Credential, stats: &Result<Stats, Failure>) -> Check {
    match (credential, stats) {
        (_, Ok(_)) => Check::ok("secret", "the daemon accepts the secret"),
        (Credential::Token { .. }, Err(failure)) if failure.exit() == Some(Exit::NotAllowed) => Check::warn(
            "secret",
            "statistics need the secret, but a token was given; the remaining checks were skipped",
        )
        .fix("run doctor with --secret-file FILE"),
        (_, Err(failure)) => Check::of_failure("secret", failure),
    }
}

/// The last reload, if it changed nothing or not all that was asked for.
fn reload(reload: &ReloadStats) -> Option<Check> {
    if let Some(error) = &reload.error {
        let found = format!("the last reload (SIGHUP) failed and changed nothing: {error}");
        return Some(Check::fail("reload", found).fix("correct it, and reload again: `pkill -HUP -x presenced`"));
    }
    let settings = reload.restart_needed.join(", ");
    (!settings.is_empty()).then(|| {
        Check::warn(
            "reload",
            format!("these settings differ from those in effect: {settings}"),
        )
        .fix("restart presenced")
    })
}

fn store(stats: &Stats) -> Check {
    let store = &stats.store;
    if store.writable {
        return match &store.error {
            None => Check::ok(
                "store",
                format!("{} is writable; pending writes: {}", store.kind, store.pending_writes),
            ),
            Some(error) => Check::warn("store", format!("{} is writable, but reported: {error}", store.kind))
                .fix("see the daemon's log"),
        };
    }
    let error = store.error.as_deref().unwrap_or("no error reported");
    Check::fail("store", format!("{} is not writable: {error}", store.kind)).fix(format!(
        "{}; custom statuses can't be set until then",
        store_fix::of(&store.kind, error)
    ))
}

fn stalls(stats: &Stats) -> Check {
    let StallStats {
        count,
        last_at,
        last_seconds,
        longest_seconds,
    } = stats.stalls;
    let Some(last_at) = last_at.filter(|_| count > 0) else {
        return Check::ok("stalls", "the process never stood still for over a second");
    };
    let times = if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    };
    let found = format!(
        "the process stood still {times} since its start, last for {last_seconds:.1} s ({}), at most for {longest_seconds:.1} s",
        relative(last_at, stats.now)
    );
    Check::warn("stalls", found).fix(
        "find what took its time: too little CPU (limits of its container or unit, other programs), swapping, a \
         suspended machine, SIGSTOP or a debugger",
    )
}

fn limits(limits: &LimitStats, open: u64) -> Check {
    let LimitStats {
        max_connections,
        open_files,
    } = *limits;
    let found = format!("{open} of {max_connections} connections in use, limit of {open_files} open files");
    let raise = |required: u64| {
        format!("raise the limit of presenced: `ulimit -n {required}`, or LimitNOFILE={required} in its systemd unit")
    };
    // The daemon reserves a tenth for the database, the log and REST; less than half of that is too little.
    let required = max_connections.saturating_mul(10).div_ceil(9);
    if max_connections.saturating_mul(100) > open_files.saturating_mul(95) {
        Check::fail(
            "limits",
            format!("{found}: too few open files for the connection limit"),
        )
        .fix(raise(required.next_power_of_two()))
    } else if open.saturating_mul(100) >= max_connections.saturating_mul(CONNECTIONS_FULL_PERCENT)
        && max_connections > 0
    {
        Check::warn("limits", format!("{found}: nearly at the connection limit"))
            .fix(raise(open_files.saturating_mul(2)))
    } else if open_files < OPEN_FILES_FEW {
        Check::warn("limits", found).fix(raise(65_536))
    } else {
        Check::ok("limits", found)
    }
}

/// The daemon's clock must be between the times before and after the request.
fn clock(daemon: Wall, before: Wall, after: Wall) -> Check {
    let (difference, direction) = if daemon < before {
        (before.since(daemon), "behind")
    } else {
        (daemon.since(after), "ahead of")
    };
    let found = format!(
        "the daemon's clock is {} {direction} this machine's",
        length(difference)
    );
    let fix = "synchronize both clocks by NTP: `timedatectl set-ntp true`";
    if difference >= CLOCK_FAIL {
        Check::fail("clock", format!("{found}; tokens expire too early or too late")).fix(fix)
    } else if difference >= CLOCK_WARN {
        Check::warn("clock", found).fix(fix)
    } else {
        Check::ok("clock", "the daemon's clock agrees with this machine's")
    }
}

fn version(daemon: &str) -> Check {
    let ours = env!("CARGO_PKG_VERSION");
    if daemon == ours {
        Check::ok("version", format!("the daemon and presencectl are {ours}"))
    } else {
        Check::warn("version", format!("the daemon is {daemon}, presencectl is {ours}"))
            .fix("install both from the same release")
    }
}

async fn web_socket(target: &Target) -> Check {
    match WebSocket::connect(target, &Identity::Observer).await {
        Ok((stream, _)) => {
            stream.close(1000).await;
            Check::ok("websocket", "the change stream works")
        }
        Err(error) => {
            let mut check = Check::of_failure("websocket", &error.failure(target));
            let fix = match check.found.contains("(draining)") {
                true => IS_DRAINED,
                false => "REST works: check that proxies forward the WebSocket upgrade of GET /ws",
            };
            check.fix = Some(fix.to_owned());
            check
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_open_files_are_reported_with_a_sufficient_limit() {
        let of = |max_connections, open_files, open| {
            limits(
                &LimitStats {
                    max_connections,
                    open_files,
                },
                open,
            )
        };
        assert_eq!(of(18_000, 20_000, 5).result, Outcome::Ok);
        let check = of(50_000, 20_000, 5);
        assert_eq!(check.result, Outcome::Fail);
        assert!(check.fix.unwrap().contains("ulimit -n 65536"));
        assert_eq!(of(18_000, 20_000, 14_400).result, Outcome::Warn);
        assert_eq!(of(922, 1024, 5).result, Outcome::Warn);
        assert_eq!(of(231, 256, 5).result, Outcome::Warn);
        assert_eq!(of(1000, 1024, 5).result, Outcome::Fail);
    }

    #[test]
    fn the_fix_of_a_warning_fits_what_the_daemon_says() {
        let reload = "the last reload failed and changed nothing: see the log".to_owned();
        let clock = "the system's clock went back and is 7196 s behind what it said before".to_owned();
        let fix = |warnings: &[&String]| warning_fix(&warnings.iter().map(|&text| text.clone()).collect::<Vec<_>>());
        assert!(fix(&[&reload]).contains("-HUP") && !fix(&[&reload]).contains("Clocks"));
        assert!(fix(&[&clock]).contains("Clocks") && !fix(&[&clock]).contains("-HUP"));
        let both = fix(&[&clock, &reload]);
        assert!(both.contains("Clocks") && both.contains("-HUP"), "{both}");
        let evicts = "Redis removes keys when its memory is full: its maxmemory-policy is allkeys-lru".to_owned();
        assert_eq!(fix(&[&evicts]), "the checks of Redis below say what helps");
        assert_eq!(fix(&[&"something new".to_owned()]), "see the daemon's log");
    }

    #[test]
    fn a_clock_difference_is_found_in_both_directions() {
        let at = |millis: i64| Wall::from_millis(1_000_000 + millis);
        let check = |daemon| clock(at(daemon), at(0), at(50)).result;
        assert_eq!(check(25), Outcome::Ok);
        assert_eq!(check(-1999), Outcome::Ok);
        assert_eq!(check(-2000), Outcome::Warn);
        assert_eq!(check(2050), Outcome::Warn);
        assert_eq!(check(60_050), Outcome::Fail);
        assert_eq!(check(-60_000), Outcome::Fail);
    }

    #[test]
    fn a_named_proxy_needs_no_note() {
        assert_eq!(proxy(true).result, Outcome::Ok);
        assert_eq!(proxy(false).result, Outcome::Note);
    }

    #[test]
    fn a_different_version_is_a_warning() {
        assert_eq!(version(env!("CARGO_PKG_VERSION")).result, Outcome::Ok);
        assert_eq!(version("9.9.9").result, Outcome::Warn);
    }
}
