//! Builds the programs under test, once per process, with the profile of the tests, unless others are named. Starts none of them.
//!
//! Cargo does not build the binaries of another package for a test, so this does. Each variant is hard-linked into a
//! directory of its own, so that tests can use the daemon with and without the echo route at the same time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::file_lock;

struct Build {
    presenced: PathBuf,
    presencectl: PathBuf,
}

pub fn presenced() -> &'static Path {
    &plain().presenced
}

pub fn presencectl() -> &'static Path {
    &plain().presencectl
}

/// The daemon with the echo route for the Autobahn suite.
pub fn presenced_with_echo_route() -> &'static Path {
    static BUILT: OnceLock<Build> = OnceLock::new();
    &BUILT.get_or_init(|| build(Some("autobahn"))).presenced
}

fn plain() -> &'static Build {
    static BUILT: OnceLock<Build> = OnceLock::new();
    BUILT.get_or_init(|| named().unwrap_or_else(|| build(None)))
}

/// The programs in the directory `PRESENCE_TEST_PROGRAMS`, such as those of a release, in place of built ones.
fn named() -> Option<Build> {
    let directory = PathBuf::from(std::env::var_os("PRESENCE_TEST_PROGRAMS")?);
    Some(Build {
        presenced: directory.join("presenced"),
        presencectl: directory.join("presencectl"),
    })
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The output directory of this build, such as `target/debug`.
pub fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let dir = exe.parent().unwrap();
    let inner = dir.ends_with("deps") || dir.ends_with("examples");
    if inner { dir.parent().unwrap() } else { dir }.to_owned()
}

/// The Cargo of this build with a subcommand, for the same directory and profile.
fn cargo(subcommand: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository()).arg(subcommand);
    cargo.arg("--target-dir").arg(profile_dir().parent().unwrap());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    cargo
}

/// What `cargo build` or `cargo run` with these arguments compiles after the workspace was built: a line for each crate.
/// `run` runs with `--version`.
pub fn compiled_anew(subcommand: &str, arguments: &[&str]) -> Vec<String> {
    plain();
    let _lock = file_lock::acquire("build");
    let mut cargo = cargo(subcommand);
    cargo.env("CARGO_TERM_QUIET", "false").env("CARGO_TERM_COLOR", "never");
    cargo.args(arguments.iter().filter(|argument| **argument != "--release"));
    if subcommand == "run" {
        cargo.args(["--", "--version"]);
    }
    let output = cargo.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{cargo:?}: {said}");
    let compiling = said.lines().filter(|line| line.trim_start().starts_with("Compiling"));
    compiling.map(str::to_owned).collect()
}

/// Builds the programs and links them into the directory of the variant, under a lock: Cargo writes all variants to the
/// same files. Builds the whole workspace, because a single package would unify other features and rebuild most
/// dependencies.
fn build(feature: Option<&str>) -> Build {
    let profile_dir = profile_dir();
    let place = profile_dir.join("black-box").join(feature.unwrap_or("plain"));
    std::fs::create_dir_all(&place).unwrap();
    let _lock = file_lock::acquire("build");
    let mut cargo = cargo("build");
    cargo.args(["--quiet", "--workspace", "--bins"]);
    if let Some(feature) = feature {
        cargo.args(["--features", &format!("presenced/{feature}")]);
    }
    let status = cargo.status().unwrap();
    assert!(status.success(), "cargo build failed");
    let link = |name: &str| {
        let (linked, fresh) = (place.join(name), place.join(format!("{name}.{}", std::process::id())));
        std::fs::hard_link(profile_dir.join(name), &fresh).unwrap();
        std::fs::rename(&fresh, &linked).unwrap();
        // Renaming one name of a file to another name of the same file does nothing and leaves both.
        std::fs::remove_file(&fresh).ok();
        linked
    };
    Build {
        presenced: link("presenced"),
        presencectl: link("presencectl"),
    }
}
