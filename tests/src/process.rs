//! What can be done to a running process from outside: limits, and a look at what it uses. Only ever by its own id.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit, setrlimit};

/// In which `/proc` counts time, on every Linux there is (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// A process by its id.
#[derive(Debug, Clone, Copy)]
pub struct Process(Pid);

impl Process {
    /// The process of a child.
    pub fn of(id: u32) -> Self {
        Self(Pid::from_raw(i32::try_from(id).unwrap()).unwrap())
    }

    /// Its id.
    pub fn id(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Asks it to end.
    pub fn terminate(self) {
        kill_process(self.0, Signal::TERM).unwrap();
    }

    /// Asks it to end, as somebody at the terminal does.
    pub fn interrupt(self) {
        kill_process(self.0, Signal::INT).unwrap();
    }

    /// As `kill -TSTP`: it may do something before it stops.
    pub fn suspend(self) {
        kill_process(self.0, Signal::TSTP).unwrap();
    }

    /// Asks it to end and to leave a core behind, as Ctrl-\ does.
    pub fn quit(self) {
        kill_process(self.0, Signal::QUIT).unwrap();
    }

    /// Halts it, as a debugger or a hypervisor would.
    pub fn halt(self) {
        kill_process(self.0, Signal::STOP).unwrap();
    }

    /// Lets it go on.
    pub fn resume(self) {
        kill_process(self.0, Signal::CONT).unwrap();
    }

    /// No file of it may grow beyond so many bytes: a full disk, as far as it can tell.
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

    /// The disk has room again.
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

    /// Its resident memory, in bytes.
    pub fn resident_bytes(self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Time its threads spent on a core so far.
    pub fn cpu_time(self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // The name, in parentheses, may hold spaces; 12th and 13th after it are user and system time.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    /// Kills it.
    pub fn kill(self) {
        kill_process(self.0, Signal::KILL).unwrap();
    }

    /// Its threads.
    pub fn threads(self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap().count()
    }
}

/// Lets this process open as many files as it may; children inherit it. How many that is.
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

/// The processes that this one started and that are still there.
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
