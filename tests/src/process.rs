//! Signals, resource limits and resource usage of a running process, addressed by its id.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit, setrlimit};

use crate::clock::Stopwatch;
use crate::wait::{DEADLINE, next_look_of_thread};

/// The unit of times in `/proc`, `USER_HZ`: 100 on every Linux architecture in use.
const TICKS_PER_SECOND: u64 = 100;

/// One process, or a few that stand behind one address: signals and limits are for all of them, what is asked is of the first.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    first: Pid,
    further: [Option<Pid>; FURTHER_MAX],
}

/// How many others may stand behind the address of the first.
const FURTHER_MAX: usize = 2;

impl Process {
    pub fn of(id: u32) -> Self {
        Self {
            first: Pid::from_raw(i32::try_from(id).unwrap()).unwrap(),
            further: [None; FURTHER_MAX],
        }
    }

    /// Several as one.
    pub fn all(processes: impl IntoIterator<Item = Self>) -> Self {
        let mut processes = processes.into_iter();
        let mut all = processes.next().unwrap();
        for (place, process) in all.further.iter_mut().zip(processes) {
            *place = Some(process.first);
        }
        all
    }

    pub fn id(self) -> i32 {
        self.first.as_raw_nonzero().get()
    }

    fn each(self) -> impl Iterator<Item = Pid> {
        std::iter::once(self.first).chain(self.further.into_iter().flatten())
    }

    fn signal(self, signal: Signal) {
        for process in self.each() {
            kill_process(process, signal).unwrap();
        }
    }

    /// Sends `SIGTERM`.
    pub fn terminate(self) {
        self.signal(Signal::TERM);
    }

    /// Sends `SIGINT`.
    pub fn interrupt(self) {
        self.signal(Signal::INT);
    }

    /// Sends `SIGHUP`.
    pub fn hang_up(self) {
        self.signal(Signal::HUP);
    }

    /// Sends `SIGTSTP`, which the process can handle before it stops.
    pub fn suspend(self) {
        self.signal(Signal::TSTP);
    }

    /// Sends `SIGQUIT`.
    pub fn quit(self) {
        self.signal(Signal::QUIT);
    }

    /// Sends `SIGSTOP`, which the process can't handle, and waits until all of its threads have stopped: while others have the
    /// processors, they go on for a moment.
    pub fn stop(self) {
        self.signal(Signal::STOP);
        let stopped = Stopwatch::start();
        while !self.is_stopped() {
            assert!(stopped.elapsed() < DEADLINE, "it is not stopped");
            next_look_of_thread();
        }
    }

    /// Whether no thread runs any more, by the third field of `proc_pid_stat(5)`.
    fn is_stopped(self) -> bool {
        self.each().all(|process| {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero())).unwrap();
            tasks.flatten().all(|task| {
                let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                let state = stat.rsplit(") ").next().unwrap();
                state.starts_with(['T', 'Z'])
            })
        })
    }

    /// Sends `SIGCONT`.
    pub fn resume(self) {
        self.signal(Signal::CONT);
    }

    /// Limits the size of its files, which simulates a full disk.
    pub fn limit_file_size(self, bytes: u64) {
        self.set_file_size_limit(Some(bytes));
    }

    /// Removes the limit of [`Self::limit_file_size`].
    pub fn unlimit_file_size(self) {
        self.set_file_size_limit(None);
    }

    fn set_file_size_limit(self, current: Option<u64>) {
        for process in self.each() {
            let limit = Rlimit { current, maximum: None };
            prlimit(Some(process), Resource::Fsize, limit).unwrap();
        }
    }

    /// The resident memory in bytes.
    pub fn resident_bytes(self) -> u64 {
        self.status("VmRSS:") * 1024
    }

    /// For how many open files its table has room now.
    pub fn file_slots(self) -> u64 {
        self.status("FDSize:")
    }

    fn status(self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The user and system CPU time of all threads.
    pub fn cpu_time(self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // The name, in parentheses, may hold spaces; 12th and 13th after it are user and system time.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    /// The CPU time of the threads that run now, to the nanosecond.
    pub fn exact_cpu_time(self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id()))
            .unwrap()
            .flatten();
        let nanos = threads.filter_map(|thread| {
            // A thread may have ended meanwhile.
            let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            Some(stat.split_whitespace().next().unwrap().parse::<u64>().unwrap())
        });
        let nanos: u64 = nanos.sum();
        assert!(nanos > 0, "this kernel does not say what a thread has used");
        Duration::from_nanos(nanos)
    }

    /// Sends `SIGKILL`.
    pub fn kill(self) {
        self.signal(Signal::KILL);
    }

    /// What each thread does, a line for each: the process, the name, the state, and where in the kernel it waits. A process that
    /// has ended has none.
    pub fn threads_by_state(self) -> String {
        let mut lines = Vec::new();
        for process in self.each().map(Pid::as_raw_nonzero) {
            let threads = std::fs::read_dir(format!("/proc/{process}/task"));
            for thread in threads.into_iter().flatten().flatten() {
                let read = |file: &str| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
                let status = read("status");
                let state = status.lines().find(|line| line.starts_with("State:")).unwrap_or("gone");
                lines.push(format!("{process} {}: {state} {}", read("comm").trim(), read("wchan")));
            }
        }
        lines.join("\n")
    }

    /// The number of threads.
    pub fn threads(self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap().count()
    }
}

/// A child process that is killed when this is dropped, also by a test that fails.
#[derive(Debug)]
pub struct OwnedChild(Child);

impl OwnedChild {
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Sends `SIGKILL` and waits for the exit.
    pub fn end(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl From<Child> for OwnedChild {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Deref for OwnedChild {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for OwnedChild {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        self.end();
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
