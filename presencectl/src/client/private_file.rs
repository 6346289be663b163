//! Files that hold a secret, a token or a signing key: read only if nobody else can, and kept out of every text.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::failure::Failure;
use crate::output::escape::quote;

/// No secret, token or key is longer; what is longer is the wrong file.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// Something nobody else may read. Never printed, not even by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Takes a text that is secret.
    pub(crate) const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for a header or a signature.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A path as it stands in a message.
pub(crate) fn shown(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// A path as an argument for a shell.
pub(crate) fn shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if text.chars().all(plain) && !text.is_empty() {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Reads a file that only its owner may read, and trims it.
///
/// # Errors
/// When it can't be read, when others can read it (with the command that mends that), or when it is empty.
pub(crate) fn read(path: &Path, what: &str) -> Result<Secret, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, what, &error))?;
    // The mode is asked of the open file: asked of the path, it could be another file's.
    let metadata = file.metadata().map_err(|error| unreadable(path, what, &error))?;
    if metadata.is_dir() {
        return Err(
            Failure::usage(format_args!("the {what} {} is a directory", shown(path))).next("name the file in it"),
        );
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Failure::usage(format_args!(
            "the {what} {} is open to others (mode {mode:04o}), so it is no longer secret enough to be used",
            shown(path)
        ))
        .next(format_args!("chmod 600 {}", shell(path))));
    }
    let mut text = String::new();
    let read = file
        .take(FILE_MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(path, what, &error))?;
    if read as u64 > FILE_MAX_BYTES {
        return Err(Failure::usage(format_args!(
            "the {what} {} is far too long to be one",
            shown(path)
        )));
    }
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::usage(format_args!("the {what} {} is empty", shown(path))));
    }
    Ok(Secret(text.to_owned()))
}

/// Reads the internal secret or a token: the first line of its file, which must fit into a header.
///
/// # Errors
/// As [`read`], and when it can't be sent.
pub(crate) fn read_credential(path: &Path, what: &str) -> Result<Secret, Failure> {
    let text = read(path, what)?;
    let line = text.0.lines().next().unwrap_or_default().trim();
    if line.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Secret(line.to_owned()))
    } else {
        Err(Failure::usage(format_args!(
            "the {what} {} has white space or other characters that no header can carry",
            shown(path)
        )))
    }
}

fn unreadable(path: &Path, what: &str, error: &std::io::Error) -> Failure {
    let message = format!("can't read the {what} {}: {error}", shown(path));
    match error.kind() {
        ErrorKind::PermissionDenied => {
            Failure::not_allowed(message).next("run this as the user that runs presenced, or use --token FILE")
        }
        _ => Failure::usage(message),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::failure::Exit;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn the_first_line_of_a_private_file_is_the_secret() {
        let file = file("first\nsecond\n", 0o600);
        assert_eq!(read_credential(file.path(), "secret file").unwrap().expose(), "first");
    }

    #[test]
    fn a_looser_file_is_refused_with_the_command_that_mends_it() {
        for mode in [0o640, 0o604, 0o660, 0o644, 0o601] {
            let file = file("hidden", mode);
            let failure = read_credential(file.path(), "secret file").unwrap_err();
            assert_eq!(failure.exit(), Some(Exit::Usage));
            let report = failure.report();
            assert!(
                report.contains(&format!("chmod 600 {}", file.path().display())),
                "{report}"
            );
            assert!(!report.contains("hidden"), "{report}");
        }
        for mode in [0o600, 0o400, 0o700] {
            assert!(read_credential(file("hidden", mode).path(), "secret file").is_ok());
        }
    }

    #[test]
    fn no_error_shows_the_secret_and_neither_does_debug() {
        let failure = read_credential(file("hid den", 0o600).path(), "secret file").unwrap_err();
        assert!(!failure.report().contains("hid"), "{}", failure.report());
        assert_eq!(format!("{:?}", Secret::new("hidden".into())), "Secret(…)");
    }

    #[test]
    fn a_path_is_quoted_for_the_shell_only_where_it_must_be() {
        assert_eq!(shell(Path::new("/a/b-c.d")), "/a/b-c.d");
        assert_eq!(shell(Path::new("/a b/it's")), "'/a b/it'\\''s'");
    }
}
