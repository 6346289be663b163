//! The numbers of the last runs that took part in a cluster. Whoever holds the lock of the directory knows that those runs are
//! over, and may end what is left of them.

use std::fmt::Write as _;
use std::io;

use super::{DataDir, DataDirError, at, read, replace};

/// The name of the file.
const FILE: &str = "incarnation";
/// How many are kept: sessions of a run that is over are in grace for a while, over further starts.
const KEPT_MAX: usize = 16;

impl DataDir {
    /// The numbers of the runs of which something may be left, the last one first; none if there was none. A file that holds
    /// no number is left aside: the other nodes end those runs when they have been silent for a lease.
    pub(crate) fn last_incarnations(&self) -> Result<Vec<u64>, DataDirError> {
        let path = self.path.join(FILE);
        let bytes = match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            bytes => bytes.map_err(|source| at(&path, source))?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let numbers = text.split_ascii_whitespace().take(KEPT_MAX);
        let numbers: Result<Vec<u64>, _> = numbers.map(|digits| u64::from_str_radix(digits, 16)).collect();
        Ok(numbers.unwrap_or_else(|_| {
            tracing::warn!(file = ?path, "not the numbers of runs: those before are ended by their lease");
            Vec::new()
        }))
    }

    /// Writes the numbers of this run and of those before it of which something may be left, the last one first.
    pub(crate) fn save_incarnations(&self, numbers: &[u64]) -> Result<(), DataDirError> {
        let path = self.path.join(FILE);
        let mut text = String::new();
        for number in numbers.iter().take(KEPT_MAX) {
            let _ = writeln!(text, "{number:016x}");
        }
        replace(&path, text.as_bytes()).map_err(|source| at(&path, source))
    }
}
