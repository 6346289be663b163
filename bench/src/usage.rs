//! What a running process uses, by `/proc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// What the kernel counts times of processes and cores in: `USER_HZ`, which is the same on all systems.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// User and system time of all threads of a process: to the nanosecond as long as none has ended, else to the tick.
pub(crate) fn cpu(process: u32) -> Result<Duration> {
    let root = root(process);
    let mut running = 0;
    for thread in fs::read_dir(root.join("task"))?.flatten() {
        // A thread may have ended meanwhile.
        let Ok(stat) = fs::read_to_string(thread.path().join("schedstat")) else {
            continue;
        };
        let nanos = stat.split_whitespace().next().context("an empty schedstat")?;
        running += nanos.parse::<u64>()?;
    }
    // What threads have used that are gone is in the whole of the process alone.
    let [own, _] = ticks(&root)?;
    Ok(Duration::from_nanos(running).max(own))
}

/// User and system time of this process and of the children that it has waited for.
pub(crate) fn own_cpu() -> Result<Duration> {
    let [_, children] = ticks(Path::new("/proc/self"))?;
    Ok(cpu(std::process::id())? + children)
}

/// Resident memory of a process in bytes, shared pages included.
pub(crate) fn resident(process: u32) -> Result<u64> {
    let memory = fs::read_to_string(root(process).join("smaps_rollup"))?;
    let line = memory.lines().find_map(|line| line.strip_prefix("Rss:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no Rss in /proc")?.parse::<u64>()? * 1024)
}

fn root(process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}"))
}

/// The time of a process, and of its children that have ended, as a number of ticks.
fn ticks(root: &Path) -> Result<[Duration; 2]> {
    let stat = fs::read_to_string(root.join("stat"))?;
    // The name, in brackets, may have spaces in it.
    let (_, fields) = stat.rsplit_once(") ").context("a stat without a name")?;
    let times = fields.split(' ').skip(11).take(4).map(str::parse::<u32>);
    let times = times.collect::<Result<Vec<u32>, _>>()?;
    match times.as_slice() {
        [user, system, children_user, children_system] => {
            Ok([TICK * (user + system), TICK * (children_user + children_system)])
        }
        _ => anyhow::bail!("a stat without times"),
    }
}

/// The load of the last minute.
pub(crate) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_time_and_memory() {
        let process = std::process::id();
        let before = cpu(process).unwrap();
        assert!(before > Duration::ZERO);
        assert!(own_cpu().unwrap() >= before);
        assert!(resident(process).unwrap() > 100 * 1024);
    }

    #[test]
    fn the_time_of_a_thread_that_has_ended_is_kept() {
        let process = std::process::id();
        let before = ticks(&root(process)).unwrap()[0];
        let work = move || {
            let mut number = 1_u64;
            while ticks(&root(process)).unwrap()[0] < before + TICK * 5 {
                number = std::hint::black_box(number.wrapping_mul(3));
            }
        };
        std::thread::spawn(work).join().unwrap();
        assert!(cpu(process).unwrap() >= before + TICK * 5);
    }
}
