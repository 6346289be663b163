//! `completions`: prints the completion script of a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Session;
use crate::cli::Cli;
use crate::failure::Failure;

pub(super) fn run(session: &mut Session, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "presencectl", &mut script);
    session.output.text(&String::from_utf8_lossy(&script))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What bash offers for the last of these words.
    fn completed(words: &[&str]) -> String {
        let mut script = Vec::new();
        clap_complete::generate(Shell::Bash, &mut Cli::command(), "presencectl", &mut script);
        let mut script = String::from_utf8(script).unwrap();
        script.push_str("COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))\n");
        script.push_str("_presencectl presencectl \"${@: -1}\" \"${@: -2:1}\"\necho \"${COMPREPLY[*]}\"\n");
        let output = std::process::Command::new("bash")
            .args(["-c", &script, "bash", "presencectl"])
            .args(words)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn statuses_are_completed_in_bash() {
        assert_eq!(completed(&["online", "--status", ""]), "ONLINE IDLE DO_NOT_DISTURB");
        assert_eq!(completed(&["online", "--status", "D"]), "DO_NOT_DISTURB");
        assert_eq!(completed(&["set-status", "alice", "I"]), "IDLE");
    }
}
