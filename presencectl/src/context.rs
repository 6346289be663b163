//! Contexts: named servers in `$XDG_CONFIG_HOME/presencectl/config.toml`, else `~/.config/presencectl/config.toml`. The
//! file holds paths of secrets, never a secret. Which context applies to a command is decided in `client::discover`.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::output::escape::quote;

/// The context of the daemon on this machine, found through its data directory. It can't be redefined.
pub(crate) const LOCAL: &str = "local";
const NAME_MAX_BYTES: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Context {
    pub(crate) server: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<PathBuf>,
    /// The user of `set-status` where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
}

/// The content of the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The context in use; `None` is the local daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default, rename = "contexts", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) named: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file; a missing one counts as empty.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::usage(format_args!("can't read {}: {error}", shown(path)))),
        };
        toml::from_str(&text).map_err(|error| {
            Failure::usage(format_args!(
                "can't parse {}: {}",
                shown(path),
                error.to_string().trim_end()
            ))
            .next("fix the file, or delete it and add the contexts again with `presencectl context add`")
        })
    }

    /// Replaces the file atomically, with mode 0600.
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

    pub(crate) fn get(&self, name: &str) -> Result<&Context, Failure> {
        self.named.get(name).ok_or_else(|| {
            let known: Vec<_> = self.named.keys().map(|name| quote(name)).collect();
            let known = if known.is_empty() {
                "none is defined".to_owned()
            } else {
                format!("defined: {}", known.join(", "))
            };
            Failure::usage(format_args!("no context {}; {known}", quote(name)))
                .next("add it with `presencectl context add NAME --server URL`")
        })
    }
}

/// Validates the name of a new context.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name == LOCAL {
        return Err(
            Failure::usage("the context \"local\" is reserved for the daemon of this machine").next("use another name"),
        );
    }
    if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.chars().all(fits) {
        return Err(Failure::usage(format_args!("invalid context name {}", quote(name)))
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
            ca_file: Some("/etc/presence/ca.pem".into()),
            token: None,
            user: Some("ops".into()),
        }
    }

    #[test]
    fn saved_contexts_load_again_and_the_file_is_private() {
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
    fn a_missing_file_is_empty_and_a_broken_one_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        assert_eq!(Contexts::load(&path).unwrap(), Contexts::default());
        fs::write(&path, "[contexts.prod]\nserver = \"x\"\nsecrt = 1\n").unwrap();
        let report = Contexts::load(&path).unwrap_err().report();
        assert!(report.contains("config.toml") && report.contains("secrt"), "{report}");
    }

    #[test]
    fn names_that_would_need_quoting_are_rejected() {
        for name in ["", "local", "a b", "ä", "a/b", "a\u{1b}"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("prod-1.eu").is_ok());
    }
}
