//! Opening files that others may have put there, and locking what two processes must not share. A lock belongs to the file
//! itself, whatever names lead to it, and the kernel gives it up when the process ends. What the files hold is not known here.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock, major, minor};

/// Opens a regular file. Anything else is an error: a fifo or a device might never answer.
pub(crate) fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = options.custom_flags(nonblocking).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// Whether something other than a regular file has that name.
pub(crate) fn is_irregular(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file())
}

/// A lock that is held for as long as this lives.
#[derive(Debug)]
pub(crate) struct FileLock(File);

/// Why a lock was not taken.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process holds it.
    Held(Holder),
    Io(io::Error),
}

/// The process that holds a lock, if the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder(pub(crate) Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "presenced with process id {pid}"),
            None => f.write_str("another process"),
        }
    }
}

impl FileLock {
    /// Locks the file, or the directory, without waiting.
    pub(crate) fn take(file: File) -> Result<Self, LockError> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Held(Holder(holder_of(&file)))),
            Err(error) => Err(LockError::Io(error.into())),
        }
    }

    /// The locked file.
    pub(crate) fn file(&self) -> &File {
        &self.0
    }

    /// Whether the name still leads to what is locked.
    pub(crate) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let (locked, named) = (self.0.metadata()?, path.metadata()?);
        Ok((locked.dev(), locked.ino()) == (named.dev(), named.ino()))
    }
}

/// Who holds the lock of a file, from the kernel's list.
fn holder_of(file: &File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    let device = metadata.dev();
    let locked = format!("{:02x}:{:02x}:{}", major(device), minor(device), metadata.ino());
    // The list is read in parts: while other locks come and go, one may be between them.
    (0..LISTS_READ).find_map(|_| holder_in(&std::fs::read_to_string("/proc/locks").ok()?, &locked))
}

/// How often the kernel's list is read for a lock that is held.
const LISTS_READ: usize = 5;

/// A line is `1: FLOCK ADVISORY WRITE 25779 fd:01:524295 0 EOF`; of one that waits the second word is `->`. A process in
/// another namespace has the number 0.
fn holder_in(locks: &str, file: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [_, "FLOCK", _, _, pid, locked, ..] if *locked == file => pid.parse().ok().filter(|pid| *pid != 0),
            _ => None,
        }
    })
}

/// How often a lock is tried that may outlive its file's close: a process that another test is starting has every open file of
/// this one, and so its locks, until it has become another program (`fork` copies descriptors, close-on-exec ones too).
#[cfg(test)]
pub(crate) const FREED_AFTER: u32 = 1_000_000;

/// Opens what was closed just now.
#[cfg(test)]
pub(crate) fn when_free<T, E>(is_held: impl Fn(&E) -> bool, mut open: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for _ in 0..FREED_AFTER {
        match open() {
            Err(error) if is_held(&error) => std::thread::yield_now(),
            opened => return opened,
        }
    }
    open()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_holds_for_every_name_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("one"), dir.path().join("other"));
        std::fs::write(&path, "").unwrap();
        std::fs::hard_link(&path, &other).unwrap();
        let lock = FileLock::take(File::open(&path).unwrap()).unwrap();
        let own = Holder(Some(std::process::id()));
        let second = FileLock::take(File::open(&other).unwrap());
        assert!(
            matches!(second, Err(LockError::Held(holder)) if holder == own),
            "{second:?}"
        );
        assert!(lock.is_at(&path).unwrap() && lock.is_at(&other).unwrap());
        std::fs::write(dir.path().join("new"), "").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        assert!(!lock.is_at(&path).unwrap());
        drop(lock);
        let free = when_free(
            |error| matches!(error, LockError::Held(_)),
            || FileLock::take(File::open(&other).unwrap()),
        );
        free.unwrap();
    }

    #[test]
    fn the_holder_is_found_in_the_list_of_the_kernel() {
        let list = "1: POSIX  ADVISORY  WRITE 11 fd:01:7 0 EOF\n\
                    2: FLOCK  ADVISORY  WRITE 12 fd:01:77 0 EOF\n\
                    3: -> FLOCK  ADVISORY  WRITE 13 fd:01:7 0 EOF\n\
                    4: FLOCK  ADVISORY  WRITE 14 fd:01:7 0 EOF\n\
                    5: FLOCK  ADVISORY  WRITE 0 fd:01:8 0 EOF\n";
        let cases = [
            ("fd:01:7", Some(14)),
            ("fd:01:77", Some(12)),
            ("fd:01:8", None),
            ("fd:01:9", None),
        ];
        for (file, pid) in cases {
            assert_eq!(holder_in(list, file), pid, "{file}");
        }
        assert_eq!(Holder(Some(14)).to_string(), "presenced with process id 14");
        assert_eq!(Holder(None).to_string(), "another process");
    }

    #[test]
    fn a_fifo_or_directory_is_no_regular_file() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        for path in [&fifo, dir.path()] {
            assert!(open_regular(path, OpenOptions::new().read(true)).is_err());
            assert!(is_irregular(path));
        }
        assert!(!is_irregular(&dir.path().join("missing")));
    }
}
