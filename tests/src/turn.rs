//! Named locks between tests, whether they share a process or not. Heavy tests take turns by them.

use std::fs::{File, OpenOptions};

use rustix::fs::{FlockOperation, flock};

use crate::binaries::profile_dir;

/// Held until dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

/// Waits for the lock of that name. Blocks the thread.
pub fn take(name: &str) -> Turn {
    let path = profile_dir().join(format!("black-box-{name}.lock"));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    Turn(file)
}

/// The turn of a test that needs both cores or thousands of sockets.
pub async fn heavy() -> Turn {
    tokio::task::spawn_blocking(|| take("heavy")).await.unwrap()
}
