//! The data directory: its lock, the secrets created at the first start, and the daemon's address for local tools. A reader
//! of these files can act as any user, so they have mode 0600 in a directory of mode 0700.

mod incarnation;
#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt as _, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::files::{FileLock, Holder, LockError, open_regular};

/// Random bytes in a new secret.
const SECRET_BYTES: usize = 32;
/// How a key for users' tokens begins that the daemon made: an operator's own may be as many random digits.
const GENERATED_KEY: &str = "generated-by-presenced-";
/// Shortest secret accepted, in bytes.
const SECRET_MIN_BYTES: usize = 16;
/// Longest key or secret file, in bytes: an RSA key of 8192 bits has 1.5 KiB. A longer one is an error, because half of a
/// secret would be another secret.
const KEY_FILE_MAX_BYTES: u64 = 64 * 1024;

/// The byte order mark in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Why the data directory can't be used: one line that names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// Another process has the lock.
    #[error("data directory {dir:?} is in use by {holder}: stop it, or use another --data-dir")]
    InUse { dir: PathBuf, holder: Holder },
    /// The file has permissions for group or others.
    #[error("{path:?} is accessible to other users (mode {mode:04o}): run chmod 600 {path:?}")]
    Loose { path: PathBuf, mode: u32 },
    #[error("{path:?} is owned by user id {owner}, not by the user of this process: run chown, or name another file")]
    Foreign { path: PathBuf, owner: u32 },
    /// The contents are invalid.
    #[error("{path:?} {what}")]
    Invalid { path: PathBuf, what: &'static str },
    #[error("can't use {path:?}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl DataDirError {
    /// The error with the name of the setting that leads to the file, unless it names one itself.
    pub(crate) fn of_setting(self, flag: &'static str) -> anyhow::Error {
        match self {
            Self::InUse { .. } => self.into(),
            _ => anyhow::Error::from(self).context(flag),
        }
    }
}

/// What a missing file of the directory's own means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    /// The first start: it is made.
    Create,
    /// A reload: a new secret would end everything that the old one authenticated.
    Fail,
}

/// The data directory, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// The lock of the directory itself, and that of the file `lock`, by which tools tell whether a daemon runs.
    _locks: (Option<FileLock>, FileLock),
}

impl DataDir {
    /// Creates the directory if it is missing, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| at(path, source))?;
        let file = path.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = open_regular(&file, &mut options).map_err(|source| at(&file, source))?;
        let locks = (lock_directory(path)?, lock_file(path, &file, lock)?);
        // Shorter only after it is whole: who reads it meanwhile takes the first line.
        let line = format!("{}\n", std::process::id());
        let lock = locks.1.file();
        let written = lock.write_all_at(line.as_bytes(), 0);
        written
            .and_then(|()| lock.set_len(line.len() as u64))
            .unwrap_or_else(|error| tracing::warn!(?file, %error, "the process id can't be written"));
        Ok(Self {
            path: path.to_owned(),
            _locks: locks,
        })
    }

    /// The internal secrets: of `file`, or of the directory's own file.
    pub(crate) fn secrets(&self, file: Option<&Path>, if_missing: IfMissing) -> Result<Vec<Vec<u8>>, DataDirError> {
        let (path, bytes) = self.own_or(file, "secret", if_missing, "")?;
        check_private(&path)?;
        let invalid = |what| DataDirError::Invalid {
            path: path.clone(),
            what,
        };
        let lines = bytes
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.is_empty());
        let secrets: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
        if secrets.is_empty() || secrets.len() > 2 {
            return Err(invalid("must hold one secret, or two on a line each"));
        }
        if secrets.iter().any(|secret| secret.len() < SECRET_MIN_BYTES) {
            return Err(invalid(
                "holds a secret shorter than 16 bytes: make one with `openssl rand -hex 32`",
            ));
        }
        if secrets.iter().flatten().any(u8::is_ascii_control) {
            return Err(invalid(
                "holds a control character, which no HTTP header can carry: write it as UTF-8 text",
            ));
        }
        Ok(secrets)
    }

    /// The files with the keys for users' tokens, and their contents: those of `files`, or the directory's own. A public key may be
    /// readable by others; for a secret see [`check_private`].
    pub(crate) fn jwt_keys(
        &self,
        files: &[PathBuf],
        if_missing: IfMissing,
    ) -> Result<Vec<(PathBuf, Vec<u8>)>, DataDirError> {
        let read = |file: Option<&Path>| self.own_or(file, "jwt-key", if_missing, GENERATED_KEY);
        match files {
            [] => Ok(vec![read(None)?]),
            files => files.iter().map(|file| read(Some(file))).collect(),
        }
    }

    /// Removes the address of a run that is over: until this one listens, another program may be there.
    pub(crate) fn remove_address(&self) -> Result<(), DataDirError> {
        let path = self.path.join("address");
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(at(&path, source)),
            _ => Ok(()),
        }
    }

    /// Writes the daemon's URL to the file `address`, for tools on this machine.
    pub(crate) fn save_address(&self, url: &str) -> Result<(), DataDirError> {
        let path = self.path.join("address");
        replace(&path, format!("{url}\n").as_bytes()).map_err(|source| at(&path, source))
    }

    /// Writes the certificate by which tools on this machine know the daemon; none: it has none.
    pub(crate) fn save_certificate(&self, pem: Option<&str>) -> Result<(), DataDirError> {
        let path = self.path.join("tls-certificate");
        let saved = match pem {
            Some(pem) => replace(&path, pem.as_bytes()),
            None => match std::fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
        };
        saved.map_err(|source| at(&path, source))
    }

    fn own_or(
        &self,
        file: Option<&Path>,
        name: &str,
        if_missing: IfMissing,
        prefix: &str,
    ) -> Result<(PathBuf, Vec<u8>), DataDirError> {
        let may_create = file.is_none() && if_missing == IfMissing::Create;
        let path = file.map_or_else(|| self.path.join(name), Path::to_owned);
        match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => {
                let secret = new_secret(prefix).map_err(|source| at(&path, source))?;
                replace(&path, secret.as_bytes()).map_err(|source| at(&path, source))?;
                tracing::info!(file = ?path, "created a secret");
                Ok((path, secret.into_bytes()))
            }
            Err(source) => Err(at(&path, source)),
            Ok(bytes) => Ok((path, bytes)),
        }
    }
}

/// Locks the directory itself, so that a file `lock` that was removed lets nobody in. None where directories can't be locked.
fn lock_directory(path: &Path) -> Result<Option<FileLock>, DataDirError> {
    let directory = File::open(path).map_err(|source| at(path, source))?;
    match FileLock::take(directory) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Held(holder)) => Err(in_use(path, holder)),
        Err(LockError::Io(error)) => {
            tracing::debug!(dir = ?path, %error, "the directory itself can't be locked");
            Ok(None)
        }
    }
}

fn lock_file(dir: &Path, path: &Path, file: File) -> Result<FileLock, DataDirError> {
    FileLock::take(file).map_err(|error| match error {
        LockError::Held(Holder(Some(pid))) => in_use(dir, Holder(Some(pid))),
        LockError::Held(Holder(None)) => in_use(dir, Holder(written_pid(path))),
        LockError::Io(source) => at(path, source),
    })
}

/// The contents of a file that nobody but its owner may read.
pub(crate) fn read_private(path: &Path) -> Result<Vec<u8>, DataDirError> {
    let bytes = read_public(path)?;
    check_private(path)?;
    Ok(bytes)
}

/// The contents of a file that others may read.
pub(crate) fn read_public(path: &Path) -> Result<Vec<u8>, DataDirError> {
    read(path).map_err(|source| at(path, source))
}

/// The password in a file that nobody but its owner may read: its first line.
pub(crate) fn password(path: &Path) -> Result<Vec<u8>, DataDirError> {
    let bytes = read_private(path)?;
    // A space at its end may be part of it.
    let line = bytes.split(|byte| *byte == b'\n').next();
    match line.map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
        Some(line) if !line.is_empty() => Ok(line.to_vec()),
        _ => Err(DataDirError::Invalid {
            path: path.to_owned(),
            what: "must hold a password in its first line",
        }),
    }
}

/// The process id that the holder of the lock wrote.
fn written_pid(path: &Path) -> Option<u32> {
    let bytes = read(path).ok()?;
    String::from_utf8_lossy(&bytes).lines().next()?.trim().parse().ok()
}

fn in_use(dir: &Path, holder: Holder) -> DataDirError {
    let dir = dir.to_owned();
    DataDirError::InUse { dir, holder }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = open_regular(path, OpenOptions::new().read(true))?;
    let read = file.take(KEY_FILE_MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > KEY_FILE_MAX_BYTES {
        let what = format!("it is longer than {KEY_FILE_MAX_BYTES} bytes, so it is no secret and no key");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    // Some editors begin a file with a byte order mark, which is no part of what was typed.
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

/// Checks that nobody but the owner can read the file. One of root's may be readable by a group: so secrets are given to a daemon in a
/// container, which is not root there.
pub(crate) fn check_private(path: &Path) -> Result<(), DataDirError> {
    let metadata = std::fs::metadata(path).map_err(|source| at(path, source))?;
    let mode = metadata.permissions().mode() & 0o7777;
    let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if mode & beyond_owner(owner, own) != 0 {
        return Err(DataDirError::Loose {
            path: path.to_owned(),
            mode,
        });
    }
    if owner != own && owner != 0 && own != 0 {
        return Err(DataDirError::Foreign {
            path: path.to_owned(),
            owner,
        });
    }
    Ok(())
}

/// The permissions that a private file of `owner` must not give, where `own` reads it.
const fn beyond_owner(owner: u32, own: u32) -> u32 {
    match (owner, own) {
        (0, 1..) => 0o037,
        _ => 0o077,
    }
}

/// Whether this is a key for users' tokens that the daemon made itself: nobody else begins one so.
pub(crate) fn is_generated_key(key: &[u8]) -> bool {
    key.starts_with(GENERATED_KEY.as_bytes())
}

fn new_secret(prefix: &str) -> io::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{prefix}{hex}\n"))
}

/// Replaces a file atomically.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn at(path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Io {
        path: path.to_owned(),
        source,
    }
}
