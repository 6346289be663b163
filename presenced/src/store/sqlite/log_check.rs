//! Whether the log still holds what was committed to it. SQLite trusts the log while it is open, and a start takes it only up
//! to the first frame that is not whole: one flipped bit, and everything acknowledged after it is gone without a word.
//!
//! The index of the log says how many frames were committed and what the checksum of the last one is. The index of a run
//! that was killed says it too, but not after a power loss: it is never synced.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::ffi;

use super::connection::Beside;
use crate::files::open_regular;

/// The bytes of the header of the log, of that of a frame, and of that of the index, which is there twice.
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
const INDEX_HEADER: usize = 48;
/// Where the index has how many frames are in the database too.
const FOLDED_AT: u64 = 96;
/// How often the index is read that another process changes meanwhile.
const ATTEMPTS: usize = 16;

/// The log and its index as they are open. To be dropped after the connections: closing the index gives up their locks.
#[derive(Debug)]
pub(super) struct LogCheck {
    log: PathBuf,
    index: File,
    /// The highest length of the index so far: it never shrinks while it is open.
    index_bytes: AtomicU64,
}

/// What was committed to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Committed {
    page_bytes: u64,
    frames: u64,
    last_checksum: Checksum,
    salt: [u8; 8],
}

impl LogCheck {
    /// Opens the index of a database that is open.
    pub(super) fn open(database: &Path) -> io::Result<Self> {
        let index = open_regular(&Beside::LogIndex.path(database), OpenOptions::new().read(true))?;
        Ok(Self {
            log: Beside::Log.path(database),
            index_bytes: AtomicU64::new(index.metadata()?.len()),
            index,
        })
    }

    /// Fails if the index was truncated: whoever reads on where it was is killed by the kernel.
    pub(super) fn check_index(&self) -> rusqlite::Result<()> {
        let length = self.index.metadata().map_or(0, |metadata| metadata.len());
        if length < self.index_bytes.fetch_max(length, Ordering::Relaxed) {
            return Err(failure(
                ffi::SQLITE_READONLY_DBMOVED,
                "the index of the log was truncated".to_owned(),
            ));
        }
        Ok(())
    }

    /// Fails if the log is shorter than what was committed to it.
    pub(super) fn check_length(&self) -> rusqlite::Result<()> {
        self.check(|committed| {
            let length = self.log.metadata()?.len();
            let expected = LOG_HEADER + committed.frames * (FRAME_HEADER + committed.page_bytes);
            Ok((length < expected).then(|| format!("it ends after {length} bytes of {expected}")))
        })
    }

    /// Fails if a committed frame is not as it was written.
    pub(super) fn check_frames(&self) -> rusqlite::Result<()> {
        self.check(|committed| {
            let log = open_regular(&self.log, OpenOptions::new().read(true))?;
            damage(log, committed)
        })
    }

    /// What is found holds only if nothing was committed or folded in meanwhile, which another process may do. A log that is
    /// gone, or can't be read, is found by others.
    fn check(&self, find: impl Fn(&Committed) -> io::Result<Option<String>>) -> rusqlite::Result<()> {
        for _ in 0..ATTEMPTS {
            let Some(before) = read_index(&self.index) else {
                continue;
            };
            let found = match before.frames {
                0 => None,
                _ => find(&before).unwrap_or(None),
            };
            match found {
                None => return Ok(()),
                Some(what) if read_index(&self.index) == Some(before) => {
                    return Err(failure(ffi::SQLITE_IOERR_DATA, format!("the log is damaged, {what}")));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// What a start would lose of a log that a killed run left, if it would lose anything.
pub(super) fn loss(database: &Path) -> Option<String> {
    let path = Beside::LogIndex.path(database);
    let index = open_regular(&path, OpenOptions::new().read(true)).ok()?;
    if index.metadata().ok()?.mtime() < boot_seconds()? {
        return None;
    }
    let committed = read_index(&index)?;
    let mut folded = [0; 4];
    index.read_exact_at(&mut folded, FOLDED_AT).ok()?;
    if u64::from(u32::from_ne_bytes(folded)) >= committed.frames {
        return None;
    }
    let log = Beside::Log.path(database);
    let what = match open_regular(&log, OpenOptions::new().read(true)) {
        Ok(log) => damage(log, &committed).ok()??,
        Err(error) if error.kind() == io::ErrorKind::NotFound => "it is gone".to_owned(),
        Err(_) => return None,
    };
    Some(format!(
        "its log {log:?} lacks acknowledged writes, {what}; to go on without them remove {path:?}"
    ))
}

/// When the machine was started, if the kernel tells.
fn boot_seconds() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

fn failure(code: std::ffi::c_int, what: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(what))
}

/// None while it is being changed, and if it is not whole.
fn read_index(index: &File) -> Option<Committed> {
    let mut bytes = [0; 2 * INDEX_HEADER];
    index.read_exact_at(&mut bytes, 0).ok()?;
    let (header, copy) = bytes.split_at(INDEX_HEADER);
    let number = |at: usize| -> Option<u32> { Some(u32::from_ne_bytes(header.get(at..at + 4)?.try_into().ok()?)) };
    let mut checksum = Checksum::default();
    checksum.add(header.get(..40)?, u32::from_ne_bytes);
    if header != copy || checksum != Checksum(number(40)?, number(44)?) {
        return None;
    }
    let page = u64::from(u16::from_ne_bytes(header.get(14..16)?.try_into().ok()?));
    Some(Committed {
        // 65,536 does not fit: it is a 1.
        page_bytes: (page & 0xfe00) + ((page & 1) << 16),
        frames: u64::from(number(16)?),
        last_checksum: Checksum(number(24)?, number(28)?),
        salt: header.get(32..40)?.try_into().ok()?,
    })
}

/// What is wrong with the committed frames of a log. Another generation of the log than the index tells of is no damage.
fn damage(log: File, committed: &Committed) -> io::Result<Option<String>> {
    let mut log = BufReader::with_capacity(1 << 16, log);
    let mut header = [0; LOG_HEADER as usize];
    if !read_whole(&mut log, &mut header)? {
        return Ok(Some("it has no header".to_owned()));
    }
    if header[16..24] != committed.salt {
        return Ok(None);
    }
    // The magic number says in which order the bytes are summed up.
    let order = if header[3] & 1 == 1 {
        u32::from_be_bytes
    } else {
        u32::from_le_bytes
    };
    let mut checksum = Checksum::default();
    checksum.add(&header[..24], order);
    if !checksum.is_at(&header[24..32]) {
        return Ok(Some("its header is not as written".to_owned()));
    }
    let page = usize::try_from(committed.page_bytes).unwrap_or(0);
    let mut frame = vec![0; FRAME_HEADER as usize + page];
    for number in 1..=committed.frames {
        if !read_whole(&mut log, &mut frame)? {
            return Ok(Some(format!("it ends before frame {number} of {}", committed.frames)));
        }
        let (head, page) = frame.split_at(FRAME_HEADER as usize);
        checksum.add(&head[..8], order);
        checksum.add(page, order);
        if head[8..16] != committed.salt || !checksum.is_at(&head[16..24]) {
            return Ok(Some(format!(
                "frame {number} of {} is not as written",
                committed.frames
            )));
        }
    }
    Ok((checksum != committed.last_checksum).then(|| "its last frame is another".to_owned()))
}

/// False at the end of the file.
fn read_whole(log: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The running checksum of SQLite's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Checksum(u32, u32);

impl Checksum {
    fn add(&mut self, bytes: &[u8], order: fn([u8; 4]) -> u32) {
        for eight in bytes.chunks_exact(8) {
            if let ([a, b, c, d], [e, f, g, h]) = (&eight[..4], &eight[4..]) {
                self.0 = self.0.wrapping_add(order([*a, *b, *c, *d])).wrapping_add(self.1);
                self.1 = self.1.wrapping_add(order([*e, *f, *g, *h])).wrapping_add(self.0);
            }
        }
    }

    /// Whether these bytes, as they stand in the log, are this one.
    fn is_at(self, bytes: &[u8]) -> bool {
        let (first, second) = (self.0.to_be_bytes(), self.1.to_be_bytes());
        bytes == [first, second].concat()
    }
}
