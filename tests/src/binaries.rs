//! The programs under test, built once per process with the profile of the tests. Nothing is started here.
//!
//! Cargo does not build the programs that a test of another package starts, so this does. What it builds is linked to a
//! place of its own: the daemon with the echo route and the one without may then be wanted at the same time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::turn;

/// The programs of one build.
struct Build {
    presenced: PathBuf,
    presencectl: PathBuf,
}

/// The daemon.
pub fn presenced() -> &'static Path {
    &plain().presenced
}

/// The operator's tool.
pub fn presencectl() -> &'static Path {
    &plain().presencectl
}

/// The daemon with the echo route for the WebSocket conformance suite.
pub fn presenced_with_echo_route() -> &'static Path {
    static BUILT: OnceLock<Build> = OnceLock::new();
    &BUILT.get_or_init(|| build(Some("autobahn"))).presenced
}

fn plain() -> &'static Build {
    static BUILT: OnceLock<Build> = OnceLock::new();
    BUILT.get_or_init(|| build(None))
}

/// Where the repository is.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Where this build puts its programs: `target/debug`, say.
pub fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let dir = exe.parent().unwrap();
    let inner = dir.ends_with("deps") || dir.ends_with("examples");
    if inner { dir.parent().unwrap() } else { dir }.to_owned()
}

/// Builds the programs and links them to a place of this variant. One process at a time, from the build to the link: the
/// variants overwrite each other where cargo puts them. The whole workspace is named, because a package alone would have
/// other features of the dependencies, and thus build most of them a second time.
fn build(feature: Option<&str>) -> Build {
    let profile_dir = profile_dir();
    let place = profile_dir.join("black-box").join(feature.unwrap_or("plain"));
    std::fs::create_dir_all(&place).unwrap();
    let _turn = turn::take("build");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(repository())
        .args(["build", "--quiet", "--workspace", "--bins"]);
    cargo.arg("--target-dir").arg(profile_dir.parent().unwrap());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
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
