//! Named file locks that serialize heavy tests, within one process and across processes.

use std::fs::{File, OpenOptions};

use rustix::fs::{FlockOperation, flock};

use crate::binaries::profile_dir;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct FileLock(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

/// Acquires the lock of that name. Blocks the thread.
pub fn acquire(name: &str) -> FileLock {
    let path = profile_dir().join(format!("black-box-{name}.lock"));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    FileLock(file)
}

/// Acquires the lock of tests that need both cores or thousands of sockets.
pub async fn heavy() -> FileLock {
    tokio::task::spawn_blocking(|| acquire("heavy")).await.unwrap()
}
