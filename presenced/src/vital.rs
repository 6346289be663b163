//! Threads and loops that the daemon can't do without. If one of them panics, the process aborts: a restart restores every
//! user, while a daemon without one of them would deliver nothing, end no grace period or accept nobody, and still look alive.
//!
//! A task that serves one connection or one request is none: its panic ends what it serves.

use std::io;
use std::thread::{self, JoinHandle};

/// Held by what must not end by a panic.
struct Vital;

impl Drop for Vital {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

/// Starts the loop in a task.
pub(crate) fn start_task(run: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let _vital = Vital;
        run.await;
    })
}

/// Starts the loop in a thread.
///
/// # Errors
/// The system has no thread for it.
pub(crate) fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _vital = Vital;
        run();
    })
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

    #[tokio::test]
    async fn a_vital_loop_that_returns_ends_nothing() {
        start_task(async {}).await.expect("no panic");
        let thread = start_thread("vital", || {}).expect("a thread");
        assert!(thread.join().is_ok());
    }
}
