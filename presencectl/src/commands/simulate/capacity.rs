//! Capacity checks before a run: open files of this process, local ports, and the daemon's connection limit.

use presence::wire::rest::Stats;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::Failure;

/// Open files besides the connections.
const FILES_SPARE: u64 = 32;
/// The default range of local ports, if the system doesn't report it.
const PORTS_USUAL: u64 = 28_232;

/// Raises the soft limit on open files; fails if the hard limit or the local ports don't suffice.
pub(super) fn reserve_open_files(users: u64) -> Result<(), Failure> {
    let needed = users + FILES_SPARE;
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|hard| hard < needed) {
        let hard = limit.maximum.unwrap_or(0);
        return Err(Failure::usage(format_args!(
            "the limit of {hard} open files allows {} simulated users, not {users}",
            hard.saturating_sub(FILES_SPARE)
        ))
        .next(format_args!(
            "raise the hard limit (`ulimit -Hn {needed}` as root, or LimitNOFILE), or simulate fewer users"
        )));
    }
    if limit.current.is_some_and(|soft| soft < needed) {
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        setrlimit(Resource::Nofile, raised)
            .map_err(|error| Failure::failed(format_args!("can't raise the limit on open files: {error}")))?;
    }
    check_ports(users)
}

fn check_ports(users: u64) -> Result<(), Failure> {
    let ports = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| port_count(&range))
        .unwrap_or(PORTS_USUAL);
    if users <= ports {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "{users} connections need {users} local ports, but only {ports} are available"
    ))
    .next("extend net.ipv4.ip_local_port_range, or run simulations on several machines"))
}

fn port_count(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

/// Checks the daemon's connection limit.
pub(super) fn check_daemon(stats: &Stats, users: u64) -> Result<(), Failure> {
    let open = stats.sessions.connections + stats.sessions.observers;
    let free = stats.limits.max_connections.saturating_sub(open);
    if users <= free {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "connection limit: the daemon accepts {} connections and has {open}, which allows {free} simulated users, not {users}",
        stats.limits.max_connections
    ))
    .next("simulate fewer users, or raise the daemon's limit; `presencectl doctor` explains how"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_range_includes_both_ends() {
        assert_eq!(port_count("32768\t60999\n"), Some(28_232));
        assert_eq!(port_count("nonsense"), None);
    }

    #[test]
    fn too_few_open_files_are_reported_before_the_run() {
        assert!(
            reserve_open_files(u64::MAX / 2)
                .unwrap_err()
                .report()
                .contains("simulate fewer users")
        );
        assert!(reserve_open_files(1).is_ok());
    }
}
