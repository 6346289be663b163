//! Checks of this machine that need no daemon: the contexts, the data directory, and their permissions.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Check;
use crate::client::discover::Finder;
use crate::client::private_file::{display_path, shell_quote};
use crate::context::Contexts;
use crate::failure::Failure;

pub(super) fn check(finder: &Finder) -> Vec<Check> {
    let mut checks = vec![contexts(finder)];
    // Errors of the contexts or the URL have their own check.
    if let Some(directory) = finder
        .local_data_dir()
        .ok()
        .flatten()
        .filter(|directory| directory.exists())
    {
        checks.push(data_dir(&directory));
    }
    checks
}

fn contexts(finder: &Finder) -> Check {
    let Some(path) = finder.default_paths.config.as_deref() else {
        return Check::warn("contexts", "no contexts: neither XDG_CONFIG_HOME nor HOME is set").fix("set HOME");
    };
    let contexts = match Contexts::load(path) {
        Ok(contexts) => contexts,
        Err(failure) => return Check::of_failure("contexts", &failure),
    };
    let current = contexts.current.as_deref();
    if let Some(Err(failure)) = current.map(|name| contexts.get(name)) {
        return match failure {
            Failure::Message { message, .. } => Check::fail("contexts", message).fix("presencectl context use local"),
            _ => Check::fail("contexts", "the context in use does not exist"),
        };
    }
    match mode(path) {
        // An account that can write the file can redirect the secret to another server.
        Some(mode) if mode & 0o077 != 0 => Check::warn(
            "contexts",
            format!(
                "{} is accessible to other accounts (mode {mode:04o})",
                display_path(path)
            ),
        )
        .fix(format!("chmod 600 {}", shell_quote(path))),
        Some(_) => Check::ok(
            "contexts",
            format!("{} defined in {}", contexts.named.len(), display_path(path)),
        ),
        None => Check::ok("contexts", "none defined"),
    }
}

/// The permissions of the data directory and its files: the secrets, and the database with all presence times.
fn data_dir(directory: &Path) -> Check {
    let mut loose = Vec::new();
    if mode(directory).is_some_and(|mode| mode & 0o077 != 0) {
        loose.push(format!("chmod 700 {}", shell_quote(directory)));
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Check::warn(
                "files",
                format!("{} belongs to another account", display_path(directory)),
            )
            .fix("run doctor as the account that runs presenced to check its files");
        }
        Err(error) => return Check::fail("files", format!("can't read {}: {error}", display_path(directory))),
    };
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    let files = paths
        .iter()
        .filter(|path| path.is_file() && mode(path).is_some_and(|mode| mode & 0o077 != 0));
    loose.extend(files.map(|path| format!("chmod 600 {}", shell_quote(path))));
    if loose.is_empty() {
        Check::ok("files", format!("{} is private to its owner", display_path(directory)))
    } else {
        Check::fail(
            "files",
            format!("other accounts can read {}, or files in it", display_path(directory)),
        )
        .fix(loose.join("; "))
    }
}

fn mode(path: &Path) -> Option<u32> {
    fs::metadata(path)
        .ok()
        .map(|metadata| metadata.permissions().mode() & 0o7777)
}
