//! Files with a secret, a token or a signing key: read only if no other account can read them, and never printed.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::Path;

use crate::failure::Failure;
use crate::output::escape::quote;

/// Longer than any secret, token or key.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// A secret value. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) const fn new(text: String) -> Self {
        Self(text)
    }

    /// The value, for a header or a signature.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A path, quoted for a message.
pub(crate) fn display_path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// A path, quoted for a shell.
pub(crate) fn shell_quote(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if text.chars().all(plain) && !text.is_empty() {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// The permissions that a private file of `owner` must not give, where `own` reads it: one of root's may be readable by a group, as
/// the daemon has it.
const fn beyond_owner(owner: u32, own: u32) -> u32 {
    match (owner, own) {
        (0, 1..) => 0o037,
        _ => 0o077,
    }
}

/// Reads and trims a file. Fails if others may read it, with the command that fixes the mode, or if it is empty.
pub(crate) fn read(path: &Path, what: &str) -> Result<Secret, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, what, &error))?;
    // The mode of the open file: the path could refer to another file by now.
    let metadata = file.metadata().map_err(|error| unreadable(path, what, &error))?;
    if metadata.is_dir() {
        return Err(
            Failure::usage(format_args!("the {what} {} is a directory", display_path(path)))
                .next("name the file in it"),
        );
    }
    let mode = metadata.permissions().mode() & 0o7777;
    let own = rustix::process::geteuid().as_raw();
    if mode & beyond_owner(metadata.uid(), own) != 0 {
        return Err(Failure::usage(format_args!(
            "the {what} {} can be read by other accounts (mode {mode:04o}) and is therefore not used",
            display_path(path)
        ))
        .next(format_args!("chmod 600 {}", shell_quote(path))));
    }
    let mut text = String::new();
    let read = file
        .take(FILE_MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(path, what, &error))?;
    if read as u64 > FILE_MAX_BYTES {
        return Err(Failure::usage(format_args!(
            "the {what} {} is longer than {FILE_MAX_BYTES} bytes",
            display_path(path)
        )));
    }
    // Some editors begin a file with a byte order mark, which the daemon ignores too.
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(Failure::usage(format_args!(
            "the {what} {} is empty",
            display_path(path)
        )));
    }
    Ok(Secret(text.to_owned()))
}

/// Reads a token: the first line of its file, which must be a valid header value.
pub(crate) fn read_credential(path: &Path, what: &str) -> Result<Secret, Failure> {
    let text = read(path, what)?;
    header_value(text.0.lines().next().unwrap_or_default(), path, what)
}

/// Reads the internal secrets: one or two, on a line each.
pub(crate) fn read_secrets(path: &Path) -> Result<(Secret, Option<Secret>), Failure> {
    let text = read(path, "secret file")?;
    let mut lines = text.0.lines().filter(|line| !line.trim().is_empty());
    let mut next = || {
        lines
            .next()
            .map(|line| header_value(line, path, "secret file"))
            .transpose()
    };
    Ok((next()?.unwrap_or_else(|| Secret(String::new())), next()?))
}

fn header_value(line: &str, path: &Path, what: &str) -> Result<Secret, Failure> {
    let line = line.trim();
    if line.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Secret(line.to_owned()))
    } else {
        Err(Failure::usage(format_args!(
            "the {what} {} contains white space or other characters that are not allowed in an HTTP header",
            display_path(path)
        )))
    }
}

fn unreadable(path: &Path, what: &str, error: &std::io::Error) -> Failure {
    let message = format!("can't read the {what} {}: {error}", display_path(path));
    match error.kind() {
        ErrorKind::PermissionDenied => Failure::not_allowed(message)
            .next("run this as root or as the user that runs presenced, or use --token FILE"),
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
    fn a_secret_file_has_one_or_two_lines() {
        let secrets = |text: &str| {
            let (first, second) = read_secrets(file(text, 0o600).path()).unwrap();
            (first.0, second.map(|second| second.0))
        };
        assert_eq!(secrets("first\n"), ("first".to_owned(), None));
        assert_eq!(
            secrets("\n first\r\n\nsecond \n"),
            ("first".to_owned(), Some("second".to_owned()))
        );
        assert!(read_secrets(file("first\nsec ond", 0o600).path()).is_err());
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_secret() {
        let file = file("\u{feff}first\n", 0o600);
        assert_eq!(read_credential(file.path(), "secret file").unwrap().expose(), "first");
        assert_eq!(read(file.path(), "key").unwrap().expose(), "first");
    }

    #[test]
    fn a_file_readable_by_others_is_rejected_with_the_fix() {
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
    fn a_group_may_read_files_of_root_alone() {
        let is_private = |mode: u32, owner, own| mode & beyond_owner(owner, own) == 0;
        for mode in [0o440, 0o640, 0o400] {
            assert!(is_private(mode, 0, 65_532), "{mode:o}");
        }
        for mode in [0o444, 0o660, 0o641] {
            assert!(!is_private(mode, 0, 65_532), "{mode:o}");
        }
        assert!(!is_private(0o440, 65_532, 65_532) && !is_private(0o440, 0, 0) && !is_private(0o440, 7, 65_532));
    }

    #[test]
    fn neither_errors_nor_debug_show_the_secret() {
        let failure = read_credential(file("hid den", 0o600).path(), "secret file").unwrap_err();
        assert!(!failure.report().contains("hid"), "{}", failure.report());
        assert_eq!(format!("{:?}", Secret::new("hidden".into())), "Secret(…)");
    }

    #[test]
    fn a_path_is_quoted_for_the_shell_only_if_necessary() {
        assert_eq!(shell_quote(Path::new("/a/b-c.d")), "/a/b-c.d");
        assert_eq!(shell_quote(Path::new("/a b/it's")), "'/a b/it'\\''s'");
    }
}
