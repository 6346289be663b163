//! Ports of loopback for servers that start later, or again: no other test is given one of them as long as this process runs.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ephemeral ports of Linux, which the system gives to whoever names none.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// The locks of the ports that this process was given.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port that nobody has, and that no test of any process is given while this one runs.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let user = fs::metadata("/proc/self").expect("/proc").uid();
    let locks = std::env::temp_dir().join(format!("presence-ports-{user}"));
    fs::create_dir_all(&locks).expect("a directory");
    for _ in 0..COUNT {
        // Processes begin at different places.
        let number = std::process::id() + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + number % COUNT).expect("a port");
        if let Some(lock) = lock(&locks.join(port.to_string()))
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            TAKEN.lock().expect("no panic").push(lock);
            return port;
        }
    }
    panic!("all ports are taken");
}

/// The system lets go of the lock when the process ends, however that comes.
fn lock(path: &Path) -> Option<File> {
    let file = File::create(path).expect("a file");
    file.try_lock().is_ok().then_some(file)
}
