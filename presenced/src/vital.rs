//! Threads and loops that the daemon can't do without. If one of them panics, the process aborts: a restart restores every
//! user, while a daemon without one of them would deliver nothing, end no grace period or accept nobody, and still look alive.
//!
//! A task that serves one connection or one request is none: its panic ends what it serves.
//!
//! Who keeps a [`VitalTask`] or a [`VitalThread`] can be sure: nothing else makes one.

use std::future::poll_fn;
use std::io;
use std::thread;

use tokio::task;

/// Held while something runs that must not end by a panic.
struct Vital;

impl Drop for Vital {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

/// A task that runs such a loop.
pub(crate) struct VitalTask(task::JoinHandle<()>);

impl VitalTask {
    /// Ends the loop where it waits.
    pub(crate) fn abort(&self) {
        self.0.abort();
    }

    /// Waits until the loop has ended.
    pub(crate) async fn ended(self) {
        // A panic ends the process, so it has returned or was aborted.
        let _ = self.0.await;
    }
}

/// A thread that runs such a loop.
pub(crate) struct VitalThread(thread::JoinHandle<()>);

impl VitalThread {
    /// Blocks until the loop has returned.
    pub(crate) fn join(self) {
        // A panic ends the process.
        let _ = self.0.join();
    }
}

/// Starts the loop in a task.
pub(crate) fn start_task(run: impl Future<Output = ()> + Send + 'static) -> VitalTask {
    let mut run = Box::pin(run);
    // Held while the loop runs, and not while it waits: then another panic of the thread may drop it.
    VitalTask(tokio::spawn(poll_fn(move |context| {
        let _vital = Vital;
        run.as_mut().poll(context)
    })))
}

/// Starts the loop in a thread.
///
/// # Errors
/// The system has no thread for it.
pub(crate) fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<VitalThread> {
    let vital = move || {
        let _vital = Vital;
        run();
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(vital)
        .map(VitalThread)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    /// Set in the process in which a test runs again, to what it does there.
    const CASE: &str = "PRESENCED_TEST_ABORTS";
    /// The longest that such a process may live.
    const DEADLINE: Duration = Duration::from_secs(20);

    /// Runs the calling test again for each case, in a process of its own, which must abort. There, it is this case.
    pub(crate) fn abort_in_a_process(test: &str, cases: &[&'static str]) -> Option<&'static str> {
        if let Ok(case) = std::env::var(CASE) {
            return cases.iter().find(|known| **known == case).copied();
        }
        for case in cases {
            let status = Command::new(std::env::current_exe().expect("the tests"))
                .args(["--exact", test])
                .env(CASE, case)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .expect("a process");
            assert_eq!(status.signal(), Some(6), "{case}: {status}");
        }
        None
    }

    /// Waits for the end of the process; returns if it does not come.
    pub(crate) async fn outlive_no_panic() {
        let _ = tokio::time::timeout(DEADLINE, std::future::pending::<()>()).await;
    }

    #[tokio::test]
    async fn a_panic_in_a_vital_loop_ends_the_process() {
        let test = "vital::tests::a_panic_in_a_vital_loop_ends_the_process";
        match abort_in_a_process(test, &["task", "thread"]) {
            Some("task") => drop(start_task(async { panic!("on purpose") })),
            Some(_) => drop(start_thread("vital", || panic!("on purpose"))),
            None => return,
        }
        outlive_no_panic().await;
    }

    #[test]
    fn a_panic_beside_a_waiting_vital_loop_ends_nothing() {
        let beside = std::panic::catch_unwind(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.expect("a runtime").block_on(async {
                let _waiting = start_task(std::future::pending());
                tokio::task::yield_now().await;
                panic!("on purpose");
            });
        });
        assert!(beside.is_err());
    }

    #[tokio::test]
    async fn a_vital_loop_that_returns_ends_nothing() {
        start_task(async {}).ended().await;
        start_thread("vital", || {}).expect("a thread").join();
    }
}
