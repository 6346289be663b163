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
            "this process may open {hard} files, which is enough for {} people and not for {users}",
            hard.saturating_sub(FILES_SPARE)
        ))
        .next(format_args!(
            "raise the hard limit (`ulimit -Hn {needed}` as root, or LimitNOFILE), or simulate fewer"
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
        "{users} connections to one address need {users} local ports, and there are {ports}"
    ))
    .next("widen net.ipv4.ip_local_port_range, or run several simulations from several machines"))
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
        "the daemon takes {} connections and has {open}: there is room for {free} people and not for {users}",
        stats.limits.max_connections
    ))
    .next("simulate fewer, or give the daemon a higher limit; `presencectl doctor` says how"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_counted_with_both_ends() {
        assert_eq!(port_count("32768\t60999\n"), Some(28_232));
        assert_eq!(port_count("nonsense"), None);
    }

    #[test]
    fn more_people_than_files_is_said_before_anything_is_opened() {
        assert!(
            reserve_open_files(u64::MAX / 2)
                .unwrap_err()
                .report()
                .contains("simulate fewer")
        );
        assert!(reserve_open_files(1).is_ok());
    }
}
