//! When the node was last alive, told beside the database: a disk that is full or a lock that another process holds keeps
//! the heartbeat out of the database for as long as it lasts, and a start after that would take the downtime for longer than
//! it was.
//!
//! The file is opened once and overwritten in place, a line that never changes its length: that takes no space, no rename
//! and no permission for the directory. It is not synced. What a power loss takes of it is half a minute at most, far less
//! than the ceiling lies ahead.
//!
//! Beside a database of SQLite the file holds space in reserve after the line, as much as a start needs: one that was closed has
//! no index of its log, and on a full disk none could be made.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;
use presence::{Revision, Wall};

use crate::files::open_regular;
use crate::store::{Alive, Heartbeat};

/// The bytes of the line.
const LINE_BYTES: u64 = 88;
/// The bytes of the whole file: twice the index of a log.
const FILE_BYTES: u64 = 64 * 1024;

/// The file, open from the first word to the end of the store.
#[derive(Debug)]
pub(super) struct AliveFile {
    path: PathBuf,
    /// None: nothing was written yet, or it could not be opened.
    file: Mutex<Option<File>>,
    /// The wall clock of the last heartbeat that the database took, in milliseconds.
    stored: AtomicI64,
    /// Whether the database took a heartbeat since the space in reserve was last looked after.
    is_reserve_due: AtomicBool,
    /// Whether the last attempt failed, so that only the first failure of a series is logged.
    is_failing: AtomicBool,
}

impl AliveFile {
    /// Reads the file, if there is one.
    pub(super) fn read(path: &Path) -> Option<Alive> {
        let mut line = String::new();
        let file = open_regular(path, OpenOptions::new().read(true)).ok()?;
        file.take(LINE_BYTES).read_to_string(&mut line).ok()?;
        decode(&line)
    }

    /// The file beside a database in which `stored` is the last heartbeat. It is made with the first word.
    pub(super) fn new(path: PathBuf, stored: Option<Heartbeat>) -> Self {
        let stored = stored.map_or(i64::MIN, |heartbeat| heartbeat.wall.as_millis());
        Self {
            path,
            file: Mutex::default(),
            stored: AtomicI64::new(stored),
            is_reserve_due: AtomicBool::default(),
            is_failing: AtomicBool::default(),
        }
    }

    /// Gives the space in reserve back to the disk. Whether there was any.
    pub(super) fn free_reserve(path: &Path) -> bool {
        let file = open_regular(path, OpenOptions::new().write(true));
        file.is_ok_and(|file| {
            let had_reserve = file.metadata().is_ok_and(|metadata| metadata.len() > LINE_BYTES);
            had_reserve && file.set_len(LINE_BYTES).is_ok()
        })
    }

    /// The database took a heartbeat.
    pub(super) fn note_stored(&self, wall: Wall) {
        self.stored.fetch_max(wall.as_millis(), Ordering::Relaxed);
    }

    /// There is room beside the database, so that the space in reserve can be taken again.
    pub(super) fn keep_reserve(&self) {
        self.is_reserve_due.store(true, Ordering::Relaxed);
    }

    /// Writes the line. Whether it is in the file.
    pub(super) async fn save(self: &Arc<Self>, wall: Wall, ceiling: u64) -> bool {
        let file = Arc::clone(self);
        let saving = tokio::task::spawn_blocking(move || file.save_blocking(wall, ceiling));
        saving.await.unwrap_or(false)
    }

    fn save_blocking(&self, wall: Wall, ceiling: u64) -> bool {
        // A disk that hangs holds the lock: then this second is left out.
        let Some(mut file) = self.file.try_lock() else {
            return false;
        };
        let alive = Alive {
            wall,
            ceiling,
            stored: Wall::from_millis(self.stored.load(Ordering::Relaxed)),
        };
        let written = self.write(&mut file, alive);
        let has_failed = self.is_failing.swap(written.is_err(), Ordering::Relaxed);
        if let Err(error) = &written
            && !has_failed
        {
            tracing::warn!(file = ?self.path, %error, "the sign of life beside the database can't be written");
        }
        written.is_ok()
    }

    fn write(&self, file: &mut Option<File>, alive: Alive) -> io::Result<()> {
        let file = match file {
            Some(file) => file,
            None => file.insert(open_regular(
                &self.path,
                OpenOptions::new().write(true).create(true).truncate(false).mode(0o600),
            )?),
        };
        file.write_all_at(encode(alive).as_bytes(), 0)?;
        // Not while the database can't be written: it needs the space more. The line counts without it.
        if self.is_reserve_due.swap(false, Ordering::Relaxed) && file.metadata()?.len() < FILE_BYTES {
            let rest = vec![b'.'; usize::try_from(FILE_BYTES - LINE_BYTES).unwrap_or(0)];
            let _ = file.write_all_at(&rest, LINE_BYTES);
        }
        Ok(())
    }
}

fn encode(alive: Alive) -> String {
    let Alive { wall, ceiling, stored } = alive;
    let (wall, stored) = (wall.as_millis(), stored.as_millis());
    format!("alive {wall:020} stored {stored:020} ceiling {ceiling:020} end\n")
}

/// None if it is not a whole line: a torn one is as good as none.
fn decode(line: &str) -> Option<Alive> {
    let line = line.strip_suffix(" end\n")?;
    let line = line.strip_prefix("alive ")?;
    let (wall, line) = line.split_once(" stored ")?;
    let (stored, ceiling) = line.split_once(" ceiling ")?;
    Some(Alive {
        wall: Wall::from_millis(wall.parse().ok()?),
        ceiling: ceiling.parse().ok().filter(|ceiling| *ceiling < Revision::MAX.get())?,
        stored: Wall::from_millis(stored.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn alive(wall: i64, ceiling: u64) -> Alive {
        Alive {
            wall: Wall::from_millis(wall),
            ceiling,
            stored: Wall::from_millis(wall - 1),
        }
    }

    #[test]
    fn a_line_of_any_values_has_one_length_and_is_read_back() {
        for alive in [
            alive(0, 0),
            alive(i64::MAX, Revision::MAX.get() - 1),
            alive(i64::MIN + 2, 1),
        ] {
            let line = encode(alive);
            assert_eq!(line.len() as u64, LINE_BYTES, "{line}");
            assert_eq!(decode(&line), Some(alive));
            for length in 0..line.len() {
                assert_eq!(decode(&line[..length]), None, "torn after {length} bytes");
            }
        }
        assert_eq!(
            decode(&encode(alive(1, Revision::MAX.get()))),
            None,
            "no revision is left above"
        );
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alive");
        let fifo = || rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        let make: [&dyn Fn(); 2] = [&|| fs::create_dir(&path).unwrap(), &fifo];
        for make in make {
            make();
            assert_eq!(AliveFile::read(&path), None);
            let file = Arc::new(AliveFile::new(path.clone(), None));
            assert!(!file.save(Wall::from_millis(1), 1).await);
            fs::remove_dir(&path).or_else(|_| fs::remove_file(&path)).unwrap();
        }
        fs::write(&path, "alive and well\n").unwrap();
        assert_eq!(AliveFile::read(&path), None);
        let file = Arc::new(AliveFile::new(path.clone(), None));
        assert!(file.save(Wall::from_millis(1), 1).await);
        assert_eq!(AliveFile::read(&path).map(|alive| alive.ceiling), Some(1));
    }

    #[tokio::test]
    async fn the_reserve_is_kept_once_the_database_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alive");
        let length = || fs::metadata(&path).map_or(0, |metadata| metadata.len());
        assert!(!AliveFile::free_reserve(&path), "there is no file");
        let file = Arc::new(AliveFile::new(path.clone(), None));
        for (is_stored, expected) in [(false, LINE_BYTES), (true, FILE_BYTES), (false, FILE_BYTES)] {
            if is_stored {
                file.keep_reserve();
            }
            assert!(file.save(Wall::from_millis(2), 3).await);
            assert_eq!(length(), expected);
        }
        assert!(AliveFile::free_reserve(&path));
        assert_eq!(length(), LINE_BYTES);
        assert_eq!(AliveFile::read(&path).map(|alive| alive.ceiling), Some(3));
        assert!(!AliveFile::free_reserve(&path), "there is none left");
        file.keep_reserve();
        assert!(file.save(Wall::from_millis(4), 4).await);
        assert_eq!(length(), FILE_BYTES, "and again");
    }
}
