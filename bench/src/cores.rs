//! What the two cores of a run were busy with, by `/proc/stat`.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::usage::TICK;

/// The core of servers, and that of the generator.
pub(crate) const SERVERS: usize = 0;
pub(crate) const GENERATOR: usize = 1;

/// Goes on on the core of the generator: there this program begins anew if it is not there.
pub(crate) fn move_to_generator() -> Result<()> {
    let core = GENERATOR.to_string();
    let status = fs::read_to_string("/proc/self/status")?;
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    if allowed.is_some_and(|allowed| allowed.trim() == core) {
        return Ok(());
    }
    let mut again = Command::new("taskset");
    again.args(["--cpu-list", &core]).arg(env::current_exe()?);
    again.args(env::args_os().skip(1));
    bail!("can't go on on core {core} (taskset): {}", again.exec());
}

/// The times of a core since the system was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CoreTimes {
    /// With nothing to do. The kernel measures this, where it samples what a core does else.
    pub(crate) idle: Duration,
    /// In which the host of a virtual machine ran something else.
    pub(crate) stolen: Duration,
}

/// Reads the times of the core of servers and of that of the generator.
pub(crate) fn read() -> Result<[CoreTimes; 2]> {
    let text = fs::read_to_string("/proc/stat")?;
    Ok([times(&text, SERVERS)?, times(&text, GENERATOR)?])
}

fn times(text: &str, core: usize) -> Result<CoreTimes> {
    let name = format!("cpu{core} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    let line = line.with_context(|| format!("the system has no core {core}: two are needed"))?;
    let ticks: Vec<u32> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    match ticks.as_slice() {
        // User, nice, system, idle, waiting for a disk, interrupts of two kinds, stolen.
        [_, _, _, idle, waiting, _, _, stolen, ..] => Ok(CoreTimes {
            idle: TICK * (idle + waiting),
            stolen: TICK * *stolen,
        }),
        _ => bail!("/proc/stat has too few times"),
    }
}

#[test]
fn waiting_for_a_disk_is_idle_and_the_time_of_the_host_is_stolen() {
    let text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 40 50 6 7 8 0 0\ncpu1 1 2 3 4 5 6 7 8 0 0\n";
    let expected = CoreTimes {
        idle: Duration::from_millis(900),
        stolen: Duration::from_millis(80),
    };
    assert_eq!(times(text, 0).unwrap(), expected);
    assert!(times(text, 2).is_err());
    assert!(read().is_ok());
}
