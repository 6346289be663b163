//! The data directory: one process at a time, secrets made at the first start, and where the daemon can be found. Whoever
//! can read these files can act as any user, so they are 0600 in a directory that is 0700.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Random bytes in a secret made here.
const SECRET_BYTES: usize = 32;
/// Shortest secret accepted, in bytes.
const SECRET_MIN_BYTES: usize = 16;
/// Largest key or secret file, in bytes; a file beyond is some other file.
const KEY_FILE_MAX_BYTES: u64 = 64 * 1024;

/// Why the data directory can't be used: one line that names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// Another process runs on it.
    #[error("{dir:?} is in use by presenced with process id {pid}: stop that one, or use another --data-dir")]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Who has it.
        pid: String,
    },
    /// Others could read it.
    #[error("{path:?} can be read by others (mode {mode:04o}): chmod 600 {path:?}")]
    Loose {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{path:?} belongs to user id {owner}, not to this process's: chown it, or name another file")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It holds nothing useful.
    #[error("{path:?} {what}")]
    Useless {
        /// The file.
        path: PathBuf,
        /// Why.
        what: &'static str,
    },
    /// The file system said no.
    #[error("can't use {path:?}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The directory, held by this process for as long as it lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Held open for its lock.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be and takes it for this process.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| at(path, source))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path);
        let mut lock = lock.map_err(|source| at(&lock_path, source))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let _ = (&mut lock).take(32).read_to_string(&mut pid);
            return Err(DataDirError::InUse {
                dir: path.to_owned(),
                pid: pid.trim().to_owned(),
            });
        }
        let pid = std::process::id();
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{pid}"))
            .map_err(|source| at(&lock_path, source))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The internal secrets: of `file`, or of the directory's own, made now if there is none.
    pub(crate) fn secrets(&self, file: Option<&Path>) -> Result<Vec<Vec<u8>>, DataDirError> {
        let (path, bytes) = self.own_or(file, "secret")?;
        check_private(&path)?;
        let useless = |what| DataDirError::Useless {
            path: path.clone(),
            what,
        };
        let lines = bytes
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.is_empty());
        let secrets: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
        if secrets.is_empty() || secrets.len() > 2 {
            return Err(useless("must hold one secret, or two on a line each"));
        }
        if secrets.iter().any(|secret| secret.len() < SECRET_MIN_BYTES) {
            return Err(useless(
                "holds a secret shorter than 16 bytes: make one with `openssl rand -hex 32`",
            ));
        }
        Ok(secrets)
    }

    /// The text of the key for users' tokens: of `file`, or of the directory's own, made now if there is none. A public key
    /// may be read by anyone, a secret may not.
    pub(crate) fn jwt_key(&self, file: Option<&Path>) -> Result<(PathBuf, Vec<u8>), DataDirError> {
        let (path, bytes) = self.own_or(file, "jwt-key")?;
        if !bytes.trim_ascii_start().starts_with(b"-----BEGIN PUBLIC KEY-----") {
            check_private(&path)?;
        }
        Ok((path, bytes))
    }

    /// Writes down where the daemon can be found, for tools on this machine.
    pub(crate) fn save_address(&self, url: &str) -> Result<(), DataDirError> {
        let path = self.path.join("address");
        replace(&path, format!("{url}\n").as_bytes()).map_err(|source| at(&path, source))
    }

    fn own_or(&self, file: Option<&Path>, name: &str) -> Result<(PathBuf, Vec<u8>), DataDirError> {
        let path = file.map_or_else(|| self.path.join(name), Path::to_owned);
        match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && file.is_none() => {
                let secret = new_secret().map_err(|source| at(&path, source))?;
                replace(&path, secret.as_bytes()).map_err(|source| at(&path, source))?;
                tracing::info!(file = ?path, "made");
                Ok((path, secret.into_bytes()))
            }
            Err(source) => Err(at(&path, source)),
            Ok(bytes) => Ok((path, bytes)),
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(KEY_FILE_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn check_private(path: &Path) -> Result<(), DataDirError> {
    let metadata = std::fs::metadata(path).map_err(|source| at(path, source))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(DataDirError::Loose {
            path: path.to_owned(),
            mode,
        });
    }
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own && own != 0 {
        return Err(DataDirError::Foreign {
            path: path.to_owned(),
            owner: metadata.uid(),
        });
    }
    Ok(())
}

fn new_secret() -> io::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(hex + "\n")
}

/// Puts a whole file in place of the old one, or leaves the old one.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
    }

    #[test]
    fn the_first_start_makes_secrets_that_only_the_owner_reads_and_keeps_them() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("a/b");
        let dir = DataDir::open(&path).expect("a data directory");
        let secrets = dir.secrets(None).expect("a secret");
        let (_, key) = dir.jwt_key(None).expect("a key");
        dir.save_address("http://127.0.0.1:1").expect("an address");
        assert_eq!(mode(&path), 0o700);
        for name in ["secret", "jwt-key", "address", "lock"] {
            assert_eq!(mode(&path.join(name)), 0o600, "{name}");
        }
        assert_ne!(secrets[0], key.trim_ascii());
        assert_eq!(secrets[0].len(), 64);
        drop(dir);
        let dir = DataDir::open(&path).expect("a data directory");
        assert_eq!(dir.secrets(None).expect("a secret"), secrets);
    }

    #[test]
    fn a_second_process_is_told_who_has_the_directory() {
        let root = tempfile::tempdir().expect("a directory");
        let _first = DataDir::open(root.path()).expect("a data directory");
        let refused = DataDir::open(root.path()).expect_err("in use").to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
    }

    #[test]
    fn two_lines_are_two_secrets_and_anything_else_is_refused() {
        let root = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(root.path()).expect("a data directory");
        let file = root.path().join("mine");
        let long = "0123456789abcdef";
        let cases = [
            (format!("{long}\n"), Some(1)),
            (format!("{long}\r\n  {long}x\n\n"), Some(2)),
            (format!("{long}\n{long}\n{long}\n"), None),
            (String::new(), None),
            ("short\n".to_owned(), None),
        ];
        for (text, count) in cases {
            replace(&file, text.as_bytes()).expect("a file");
            assert_eq!(
                dir.secrets(Some(&file)).ok().map(|secrets| secrets.len()),
                count,
                "{text:?}"
            );
        }
        assert!(
            dir.secrets(Some(&root.path().join("missing"))).is_err(),
            "a named file is not made"
        );
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_fix() {
        let root = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(root.path()).expect("a data directory");
        dir.secrets(None).expect("a secret");
        let path = root.path().join("secret");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("a mode");
        let refused = dir.secrets(None).expect_err("too loose").to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        dir.jwt_key(None).expect("a key");
        let path = root.path().join("jwt-key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("a mode");
        assert!(dir.jwt_key(None).is_err());
        std::fs::write(&path, "-----BEGIN PUBLIC KEY-----\n").expect("a key");
        assert!(dir.jwt_key(None).is_ok(), "a public key is public");
    }
}
