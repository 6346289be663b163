//! Named servers, in `$XDG_CONFIG_HOME/presencectl/config.toml` (else `~/.config/…`). The file holds paths of secrets,
//! never a secret. Reading and writing it is here; which server is used in the end is decided in `client::discover`.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::output::escape::quote;

/// The name that always means the daemon of this machine, found through its data directory.
pub(crate) const LOCAL: &str = "local";
/// Longest name of a context, in bytes.
const NAME_MAX_BYTES: usize = 64;

/// A named server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Context {
    /// Its URL.
    pub(crate) server: String,
    /// Where its secret is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Where a user's token is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<PathBuf>,
    /// What `--user` is if it isn't given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one in use where none is named; none: the local daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default, rename = "contexts", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) named: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file; a missing one is empty.
    ///
    /// # Errors
    /// When it can't be read or understood.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::usage(format_args!("can't read {}: {error}", shown(path)))),
        };
        toml::from_str(&text).map_err(|error| {
            Failure::usage(format_args!(
                "{} isn't understood: {}",
                shown(path),
                error.to_string().trim_end()
            ))
            .next("correct it, or remove it and add the contexts again with `presencectl context add`")
        })
    }

    /// Writes the file as a whole, for its owner alone: a reader sees the old one or the new one.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Failure> {
        let failed =
            |error: &dyn std::fmt::Display| Failure::failed(format_args!("can't write {}: {error}", shown(path)));
        let text = toml::to_string(self).map_err(|error| failed(&error))?;
        if let Some(directory) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|error| failed(&error))?;
        }
        let draft = path.with_extension(format!("toml.{}", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&draft, path));
        written.map_err(|error| {
            let _ = fs::remove_file(&draft);
            failed(&error)
        })
    }

    /// The context of this name.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn get(&self, name: &str) -> Result<&Context, Failure> {
        self.named.get(name).ok_or_else(|| {
            let known: Vec<_> = self.named.keys().map(|name| quote(name)).collect();
            let known = if known.is_empty() {
                "there is none yet".to_owned()
            } else {
                format!("there is {}", known.join(", "))
            };
            Failure::usage(format_args!("no context {}; {known}", quote(name)))
                .next("add it with `presencectl context add NAME --server URL`")
        })
    }
}

/// Checks the name of a new context.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name == LOCAL {
        return Err(
            Failure::usage("the name \"local\" always means the daemon of this machine").next("choose another name"),
        );
    }
    if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.chars().all(fits) {
        return Err(Failure::usage(format_args!("{} is no name for a context", quote(name)))
            .next("use 1 to 64 of the characters A-Z a-z 0-9 - _ ."));
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn prod() -> Context {
        Context {
            server: "http://10.0.0.1:7420".into(),
            secret_file: Some("/etc/presence/secret".into()),
            token: None,
            user: Some("ops".into()),
        }
    }

    #[test]
    fn contexts_are_read_back_as_they_were_written_and_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("presencectl/config.toml");
        let contexts = Contexts {
            current: Some("prod".into()),
            named: BTreeMap::from([("prod".to_owned(), prod())]),
        };
        contexts.save(&path).unwrap();
        assert_eq!(Contexts::load(&path).unwrap(), contexts);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_file_has_no_contexts_and_a_broken_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        assert_eq!(Contexts::load(&path).unwrap(), Contexts::default());
        fs::write(&path, "[contexts.prod]\nserver = \"x\"\nsecrt = 1\n").unwrap();
        let report = Contexts::load(&path).unwrap_err().report();
        assert!(report.contains("config.toml") && report.contains("secrt"), "{report}");
    }

    #[test]
    fn names_that_would_need_quoting_are_refused() {
        for name in ["", "local", "a b", "ä", "a/b", "a\u{1b}"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("prod-1.eu").is_ok());
    }
}
