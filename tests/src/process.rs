//! Signals, resource limits and resource usage of a running process, addressed by its id.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit, setrlimit};

/// The unit of times in `/proc`, `USER_HZ`: 100 on every Linux architecture in use.
const TICKS_PER_SECOND: u64 = 100;

#[derive(Debug, Clone, Copy)]
pub struct Process(Pid);

impl Process {
    pub fn of(id: u32) -> Self {
        Self(Pid::from_raw(i32::try_from(id).unwrap()).unwrap())
    }

    pub fn id(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Sends `SIGTERM`.
    pub fn terminate(self) {
        kill_process(self.0, Signal::TERM).unwrap();
    }

    /// Sends `SIGINT`.
    pub fn interrupt(self) {
        kill_process(self.0, Signal::INT).unwrap();
    }

    /// Sends `SIGHUP`.
    pub fn hang_up(self) {
        kill_process(self.0, Signal::HUP).unwrap();
    }

    /// Sends `SIGTSTP`, which the process can handle before it stops.
    pub fn suspend(self) {
        kill_process(self.0, Signal::TSTP).unwrap();
    }

    /// Sends `SIGQUIT`.
    pub fn quit(self) {
        kill_process(self.0, Signal::QUIT).unwrap();
    }

    /// Sends `SIGSTOP`, which the process can't handle.
    pub fn stop(self) {
        kill_process(self.0, Signal::STOP).unwrap();
    }

    /// Sends `SIGCONT`.
    pub fn resume(self) {
        kill_process(self.0, Signal::CONT).unwrap();
    }

    /// Limits the size of its files, which simulates a full disk.
    pub fn limit_file_size(self, bytes: u64) {
        let maximum = prlimit(
            Some(self.0),
            Resource::Fsize,
            Rlimit {
                current: Some(bytes),
                maximum: None,
            },
        );
        maximum.unwrap();
    }

    /// Removes the limit of [`Self::limit_file_size`].
    pub fn unlimit_file_size(self) {
        prlimit(
            Some(self.0),
            Resource::Fsize,
            Rlimit {
                current: None,
                maximum: None,
            },
        )
        .unwrap();
    }

    /// The resident memory in bytes.
    pub fn resident_bytes(self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// The user and system CPU time of all threads.
    pub fn cpu_time(self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // The name, in parentheses, may hold spaces; 12th and 13th after it are user and system time.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    /// Sends `SIGKILL`.
    pub fn kill(self) {
        kill_process(self.0, Signal::KILL).unwrap();
    }

    /// The number of threads.
    pub fn threads(self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap().count()
    }
}

/// Raises the soft limit on open files of this process and its children to the hard limit, and returns it.
pub fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .unwrap();
    limit.maximum.unwrap_or(u64::MAX)
}

/// The ids of the running child processes.
pub fn children(id: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process| parent_of(*process) == Some(id))
        .collect()
}

fn parent_of(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
