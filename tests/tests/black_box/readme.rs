//! What README tells to type builds and installs as it says.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use presence_tests::binaries::{compiled_anew, presencectl, presenced, repository};

fn readme() -> String {
    fs::read_to_string(repository().join("README.md")).unwrap()
}

/// The words of a line that begins with `cargo build` or `cargo run`, after `cargo`.
fn cargo_command(line: &str) -> Option<Vec<&str>> {
    let line = line.trim_start_matches("$ ").split(" #").next()?;
    let words: Vec<&str> = line.strip_prefix("cargo ")?.split_whitespace().collect();
    matches!(words.first(), Some(&"build" | &"run")).then_some(words)
}

#[test]
fn the_build_and_run_commands_of_the_readme_share_one_build() {
    let text = readme();
    let commands: Vec<_> = text.lines().filter_map(cargo_command).collect();
    for subcommand in ["build", "run"] {
        assert!(commands.iter().any(|words| words[0] == subcommand), "{commands:?}");
    }
    for words in commands {
        let compiled = compiled_anew(words[0], &words[1..]);
        assert!(
            compiled.is_empty(),
            "cargo {} builds again: {compiled:#?}",
            words.join(" ")
        );
    }
}

/// The first block of shell commands in a section of the document.
fn shell_block(text: &str, section: &str) -> String {
    let (_, rest) = text.split_once(&format!("\n## {section}\n")).unwrap();
    let (_, rest) = rest.split_once("\n```sh\n").unwrap();
    rest.split_once("\n```").unwrap().0.to_owned()
}

/// Runs a script as the user whose home is `home`, in a checkout in which `cargo` has nothing to do.
fn run_in_a_built_checkout(script: &str, home: &Path) {
    let (checkout, bin) = (home.join("checkout"), home.join("bin"));
    fs::create_dir_all(checkout.join("target/release")).unwrap();
    for program in [presenced(), presencectl()] {
        symlink(
            program,
            checkout.join("target/release").join(program.file_name().unwrap()),
        )
        .unwrap();
    }
    symlink(repository().join("scripts"), checkout.join("scripts")).unwrap();
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("cargo"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-euc", script]).current_dir(&checkout).env("HOME", home);
    shell.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The symbols of a program, a line each.
fn symbols(program: &Path) -> String {
    let output = Command::new("nm").arg(program).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_install_commands_install_both_programs_whole() {
    let home = tempfile::tempdir().unwrap();
    run_in_a_built_checkout(&shell_block(&readme(), "Install from the sources"), home.path());
    let prefix = home.path().join(".local");
    for name in ["presenced", "presencectl"] {
        let program = prefix.join("bin").join(name);
        assert!(fs::symlink_metadata(&program).unwrap().is_file(), "{name} is copied");
        let version = Command::new(&program).arg("--version").output().unwrap();
        assert!(String::from_utf8(version.stdout).unwrap().starts_with(name));
        assert_eq!(symbols(&program), "", "{name} has symbols");
        let link = format!("{name}.debug");
        let content = fs::read(&program).unwrap();
        assert!(
            content.windows(link.len()).any(|bytes| bytes == link.as_bytes()),
            "{name} does not say where they are"
        );
        let kept = home.path().join("checkout/target/split").join(link);
        assert!(symbols(&kept).contains(" main\n"), "{} has none", kept.display());
        let page = fs::read_to_string(prefix.join("share/man/man1").join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        let completions = prefix.join("share/bash-completion/completions").join(name);
        let script = format!(". {}; complete -p {name}", completions.display());
        let complete = Command::new("bash").args(["-c", &script]).output().unwrap();
        assert!(
            complete.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&complete.stderr)
        );
    }
}
