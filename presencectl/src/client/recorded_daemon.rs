//! The daemon of a data directory on this machine: the address that it recorded there, and whether it runs. Any program may
//! listen on that address once the daemon is gone, so a credential goes there only while the daemon holds its lock.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::private_file::display_path;
use super::server_url::ServerUrl;
use crate::failure::Failure;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedDaemon {
    directory: PathBuf,
}

impl RecordedDaemon {
    pub(crate) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The address that the running daemon recorded. Fails if none runs.
    pub(crate) fn address(&self) -> Result<ServerUrl, Failure> {
        let path = self.directory.join("address");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => return Err(self.without_address(&path, &error)),
        };
        // After the address was read: a daemon that starts removes the one of its predecessor while it holds the lock.
        if !self.is_running()? {
            return Err(not_running(format_args!(
                "no process holds the lock of {}",
                display_path(&self.directory)
            )));
        }
        ServerUrl::parse(text.lines().next().unwrap_or_default())
    }

    fn without_address(&self, path: &Path, error: &io::Error) -> Failure {
        let path = display_path(path);
        match error.kind() {
            ErrorKind::NotFound if self.is_running().unwrap_or_default() => Failure::unreachable(format_args!(
                "presenced has not recorded its address yet: {path} does not exist"
            ))
            .next("try again in a moment; if its disk is full, name the server with --server URL"),
            ErrorKind::NotFound => not_running(format_args!("{path} does not exist")),
            ErrorKind::PermissionDenied => Failure::not_allowed(format_args!("can't read {path}: {error}"))
                .next("run this as root or as the user that runs presenced, or use --server URL with --token FILE"),
            _ => Failure::usage(format_args!("can't read {path}: {error}")),
        }
    }

    /// Fails unless the daemon runs and recorded exactly this address.
    pub(crate) fn check_is_at(&self, server: &ServerUrl) -> Result<(), Failure> {
        let address = self.address()?;
        if address.is_exactly(server) {
            return Ok(());
        }
        let message = format!(
            "the daemon of {} is at {} and not at {}",
            display_path(&self.directory),
            address.display(),
            server.display()
        );
        Err(Failure::unreachable(message).next("run the command again"))
    }

    fn is_running(&self) -> Result<bool, Failure> {
        // The daemon locks the file `lock`, and the directory too, so that nothing is gained by removing the file.
        for path in [&self.directory.join("lock"), &self.directory] {
            match is_locked(path) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(
                        Failure::failed(format_args!("can't check the lock {}: {error}", display_path(path)))
                            .next("use --server URL with --secret-file FILE or --token FILE"),
                    );
                }
            }
        }
        Ok(false)
    }
}

fn not_running(why: impl std::fmt::Display) -> Failure {
    Failure::unreachable(format_args!(
        "no presenced is running with this data directory: {why}"
    ))
    .next(
        "start the daemon with `presenced`, or an installed service with `systemctl start presenced`; or name the one that runs: --data-dir DIR if it was started with that option, \
         --server URL if it is another machine's",
    )
}

/// Whether another process holds the lock exclusively. A shared lock that is taken here instead is given up at once.
fn is_locked(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {
            // A process that is being started has a copy of the file, so closing it might not be enough.
            flock(&file, FlockOperation::Unlock)?;
            Ok(false)
        }
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::failure::Exit;

    /// The lock of a daemon, which is released when this is dropped.
    pub(in crate::client) struct DaemonLock(File);

    impl DaemonLock {
        pub(in crate::client) fn take(path: &Path) -> Self {
            let file = File::open(path).unwrap();
            flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
            Self(file)
        }
    }

    impl Drop for DaemonLock {
        fn drop(&mut self) {
            // Closing the file is not enough: a process that another test is starting has a copy of it.
            flock(&self.0, FlockOperation::Unlock).unwrap();
        }
    }

    fn with_address(address: &str) -> (tempfile::TempDir, RecordedDaemon) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("address"), format!("{address}\n")).unwrap();
        let daemon = RecordedDaemon::new(directory.path().to_owned());
        (directory, daemon)
    }

    #[test]
    fn an_address_counts_only_while_the_lock_is_held() {
        let (directory, daemon) = with_address("http://127.0.0.1:7999");
        assert_eq!(daemon.address().unwrap_err().exit(), Some(Exit::Unreachable));
        let path = directory.path().join("lock");
        fs::write(&path, "1\n").unwrap();
        assert_eq!(daemon.address().unwrap_err().exit(), Some(Exit::Unreachable));
        let held = DaemonLock::take(&path);
        assert_eq!(daemon.address().unwrap().display(), "http://127.0.0.1:7999");
        drop(held);
        assert!(daemon.address().is_err());
        let held = DaemonLock::take(directory.path());
        assert!(daemon.address().is_ok(), "the lock of the directory counts too");
        drop(held);
        // Looking does not lock.
        drop(DaemonLock::take(&path));
    }

    #[test]
    fn a_daemon_that_starts_has_no_address_yet() {
        let (directory, daemon) = with_address("http://127.0.0.1:7999");
        fs::remove_file(directory.path().join("address")).unwrap();
        let report = || daemon.address().unwrap_err().report();
        assert!(report().contains("no presenced is running"), "{}", report());
        let _held = DaemonLock::take(directory.path());
        assert!(report().contains("not recorded its address yet"), "{}", report());
    }

    #[test]
    fn only_the_exact_address_is_that_of_the_daemon() {
        let (directory, daemon) = with_address("http://127.0.0.1:7999");
        let _held = DaemonLock::take(directory.path());
        for (server, is_at) in [
            ("http://127.0.0.1:7999", true),
            ("127.0.0.1:7999/", true),
            ("http://127.0.0.9:7999", false),
            ("http://[::1]:7999", false),
            ("http://localhost:7999", false),
            ("http://127.0.0.1:7998", false),
            ("http://127.0.0.1:7999/other", false),
        ] {
            let checked = daemon.check_is_at(&ServerUrl::parse(server).unwrap());
            assert_eq!(checked.is_ok(), is_at, "{server}");
        }
    }

    #[test]
    fn a_daemon_on_all_addresses_is_reached_through_loopback() {
        let (directory, daemon) = with_address("http://0.0.0.0:7999");
        let _held = DaemonLock::take(directory.path());
        let at = |server| daemon.check_is_at(&ServerUrl::parse(server).unwrap()).is_ok();
        assert!(at("http://127.0.0.1:7999") && at("http://0.0.0.0:7999"));
        assert!(!at("http://[::1]:7999"));
    }
}
