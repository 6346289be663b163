//! `completions`: prints the completion script of a shell. The scripts of bash, zsh and fish ask the tool for the names
//! of the contexts.

use std::fmt::Write as _;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory, ValueHint};
use clap_complete::Shell;

use super::Session;
use crate::cli::Cli;
use crate::failure::Failure;

/// Where a script lists the names of the contexts.
const CONTEXT_NAMES: &str = "CONTEXT_NAMES";
const ASK_FOR_CONTEXT_NAMES: &str = "presencectl context list --names 2>/dev/null";

pub(super) fn run(session: &mut Session, shell: Shell) -> Result<(), Failure> {
    session.output.text(&script(shell))
}

fn script(shell: Shell) -> String {
    let mut command = completed(Cli::command());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "presencectl", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    let names = match shell {
        Shell::Fish => {
            script.push_str(&fish_additions(&command));
            format!("({ASK_FOR_CONTEXT_NAMES})")
        }
        _ => format!("$({ASK_FOR_CONTEXT_NAMES})"),
    };
    script.replace(CONTEXT_NAMES, &names)
}

/// Completes the names of contexts where they are expected, and files only where a file is.
fn completed(command: Command) -> Command {
    let is_about_a_context = matches!(command.get_name(), "use" | "remove" | "show");
    command
        .mut_args(|arg| {
            let is_context = arg.get_id() == "context" || (is_about_a_context && arg.get_id() == "name");
            if is_context {
                return arg.value_parser(PossibleValuesParser::new([CONTEXT_NAMES]));
            }
            let is_other = arg.get_value_hint() == ValueHint::Unknown && arg.get_possible_values().is_empty();
            if is_other && arg.get_action().takes_values() {
                return arg.value_hint(ValueHint::Other);
            }
            arg
        })
        .mut_subcommands(completed)
}

/// What the generated script for fish lacks: the values of global options before the command, which it forgets as soon as
/// one is being typed, and those of positional arguments; and no files elsewhere.
fn fish_additions(root: &Command) -> String {
    let mut script = "complete -c presencectl -f\n".to_owned();
    for arg in root.get_arguments() {
        if let (Some(values), Some(name)) = (fish_values(arg), arg.get_long()) {
            let short = arg.get_short().map_or_else(String::new, |short| format!("-s {short} "));
            // Ignored: writing to a string doesn't fail.
            let _ = writeln!(script, "complete -c presencectl {short}-l {name} -r -f -a \"{values}\"");
        }
    }
    script + &fish_positionals(root, "__fish_presencectl_using_subcommand")
}

fn fish_positionals(command: &Command, condition: &str) -> String {
    let mut script = String::new();
    for subcommand in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let condition = format!("{condition} {}", subcommand.get_name());
        for values in subcommand.get_positionals().filter_map(fish_values) {
            // Ignored: writing to a string doesn't fail.
            let _ = writeln!(script, "complete -c presencectl -n \"{condition}\" -f -a \"{values}\"");
        }
        script.push_str(&fish_positionals(
            subcommand,
            &format!("{condition}; and __fish_seen_subcommand_from"),
        ));
    }
    script
}

/// The values of an argument, each with an empty description: else fish repeats the help of the argument.
fn fish_values(arg: &Arg) -> Option<String> {
    let values = arg.get_possible_values();
    let lines: Vec<_> = values
        .iter()
        .map(|value| format!("{}\\t''", value.get_name()))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What bash offers for the last of these words.
    fn completed(words: &[&str]) -> String {
        let mut script = script(Shell::Bash);
        script.push_str("presencectl() { echo local; echo prod; }\n");
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

    #[test]
    fn names_of_contexts_are_completed_in_bash() {
        assert_eq!(completed(&["--context", ""]), "local prod");
        assert_eq!(completed(&["online", "--context", "p"]), "prod");
        assert_eq!(completed(&["context", "use", "p"]), "prod");
        assert_eq!(completed(&["context", "add", "p"]), "");
    }

    #[test]
    fn files_are_completed_only_where_a_file_is_expected() {
        assert_eq!(completed(&["online", "--prefix", "/et"]), "/et");
        assert_eq!(completed(&["online", "--secret-file", "/et"]), "/etc");
    }

    #[test]
    fn the_script_for_fish_has_what_the_generated_one_lacks() {
        let script = script(Shell::Fish);
        for line in [
            "complete -c presencectl -f\n",
            "complete -c presencectl -l context -r -f -a \"(presencectl context list --names 2>/dev/null)\\t''\"\n",
            "complete -c presencectl -s o -l output -r -f -a \"table\\t''\n",
            "complete -c presencectl -n \"__fish_presencectl_using_subcommand set-status\" -f -a \"ONLINE\\t''\n",
            "complete -c presencectl -n \"__fish_presencectl_using_subcommand context; and \
             __fish_seen_subcommand_from use\" -f -a \"(presencectl context list --names 2>/dev/null)\\t''\"\n",
        ] {
            assert!(script.contains(&format!("\n{line}")), "{line}\n{script}");
        }
    }

    #[test]
    fn every_script_is_without_the_place_of_the_names() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            assert!(!script(shell).contains(CONTEXT_NAMES), "{shell}");
        }
    }
}
