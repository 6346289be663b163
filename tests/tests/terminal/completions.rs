//! The completions of shells, installed as `presencectl help completions` tells and typed on a terminal.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use presence_tests::Terminal;
use presence_tests::binaries;
use presence_tests::tmux::TerminalOptions;

/// A shell, and what makes it show this prompt and, as on an ordinary system, load completions.
struct Shell {
    name: &'static str,
    configuration: (&'static str, &'static str),
}

const PROMPT: &str = "ready-for-keys>";

const BASH: Shell = Shell {
    name: "bash",
    configuration: (
        ".bashrc",
        ". /usr/share/bash-completion/bash_completion\nPS1='ready-for-keys> '\n",
    ),
};
const ZSH: Shell = Shell {
    name: "zsh",
    configuration: (".zshrc", "PROMPT='ready-for-keys> '\n"),
};
const FISH: Shell = Shell {
    name: "fish",
    configuration: (
        ".config/fish/config.fish",
        "function fish_prompt; echo 'ready-for-keys> '; end\n",
    ),
};

fn environment(home: &Path) -> Vec<(&'static str, OsString)> {
    let tool = binaries::presencectl().parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(tool).chain(std::env::split_paths(&path))).unwrap();
    vec![("HOME", home.into()), ("PATH", path)]
}

fn output_of(home: &Path, program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.env_clear().envs(environment(home)).current_dir(home).args(args);
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; scripts/test installs it"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaint.is_empty(),
        "{program}: {complaint}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that the help gives for a shell.
fn install_commands(home: &Path, shell: &str) -> String {
    let help = output_of(home, "presencectl", &["help", "completions"]);
    let (_, examples) = help.split_once("Examples:").unwrap();
    let commands = examples
        .lines()
        .skip_while(|line| !line.starts_with(&format!("  {shell}")))
        .skip(1)
        .take_while(|line| line.starts_with("    "));
    commands.map(|line| format!("{line}\n")).collect()
}

impl Shell {
    /// Installs the completions in a new home, and types these words up to a tab: each has to become the line beside it.
    async fn completes(&self, lines: &[(&str, &str)]) {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        output_of(
            home,
            "presencectl",
            &["context", "add", "production", "--server", "http://10.0.0.1:7420"],
        );
        let (file, text) = self.configuration;
        fs::create_dir_all(home.join(file).parent().unwrap()).unwrap();
        fs::write(home.join(file), text).unwrap();
        let commands = install_commands(home, self.name);
        assert!(commands.contains("presencectl completions"), "{commands}");
        output_of(home, self.name, &["-c", &commands]);
        let terminal = Terminal::open(home, environment(home), TerminalOptions::of(100, 30)).await;
        terminal.line(&format!("clear; {}", self.name));
        terminal.shows(PROMPT).await;
        for (typed, completed) in lines {
            terminal.text(typed);
            terminal.shows(typed).await;
            terminal.keys(&["Tab"]);
            terminal.shows(completed).await;
            terminal.keys(&["C-u", "C-l"]);
            terminal
                .until("the line is empty", |screen| screen.trim_end().ends_with(PROMPT))
                .await;
        }
    }
}

const LINES: [(&str, &str); 5] = [
    ("presencectl --context prod", "--context production"),
    ("presencectl online --context l", "--context local"),
    ("presencectl context use prod", "use production"),
    ("presencectl online --status D", "--status DO_NOT_DISTURB"),
    ("presencectl set-status alice D", "alice DO_NOT_DISTURB"),
];

#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_contexts_after_the_documented_installation() {
    BASH.completes(&LINES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zsh_completes_contexts_after_the_documented_installation() {
    ZSH.completes(&LINES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fish_completes_contexts_after_the_documented_installation() {
    FISH.completes(&LINES).await;
}
