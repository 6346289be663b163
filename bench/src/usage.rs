//! What a running process uses, by `/proc`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// The resources of a process at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time of all threads that run, to the nanosecond.
    pub(crate) cpu: Duration,
    /// Resident memory in bytes, shared pages included.
    pub(crate) resident: u64,
}

impl Usage {
    pub(crate) fn of(process: u32) -> Result<Self> {
        let root = PathBuf::from(format!("/proc/{process}"));
        let mut cpu = 0;
        for thread in fs::read_dir(root.join("task"))?.flatten() {
            // A thread may have ended meanwhile.
            let Ok(stat) = fs::read_to_string(thread.path().join("schedstat")) else {
                continue;
            };
            let nanos = stat.split_whitespace().next().context("an empty schedstat")?;
            cpu += nanos.parse::<u64>()?;
        }
        let memory = fs::read_to_string(root.join("smaps_rollup"))?;
        Ok(Self {
            cpu: Duration::from_nanos(cpu),
            resident: field(&memory, "Rss:")? * 1024,
        })
    }
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.with_context(|| format!("no {name} in /proc"))?.parse()?)
}

/// The load of the last minute, which says how far the figures of a run can be relied on.
pub(crate) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

#[test]
fn a_process_has_used_time_and_memory() {
    let usage = Usage::of(std::process::id()).unwrap();
    assert!(usage.cpu > Duration::ZERO && usage.resident > 100 * 1024, "{usage:?}");
}
