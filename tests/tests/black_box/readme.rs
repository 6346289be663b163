//! What README tells to type builds and installs as it says.

use presence_tests::binaries::{compiled_anew, repository};

fn readme() -> String {
    std::fs::read_to_string(repository().join("README.md")).unwrap()
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
