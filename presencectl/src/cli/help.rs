//! The global options in the help of commands: one line that names them, since `presencectl --help` describes them.

use clap::Command;

use super::CONTEXT_ADD_OPTIONS;

/// What follows the commands and options of `presencectl --help`.
pub(super) const AFTER_HELP: &str = "\
Which daemon is used: the first of --server, --data-dir or --context; the same of the environment; the context \
in use (`presencectl context use NAME`); the daemon of this machine. The latter writes its address and its secret into \
its data directory ($XDG_STATE_HOME/presenced, else ~/.local/state/presenced; if no such daemon runs, the service's: \
/var/lib/presenced, which only root can read); that secret is sent to no other daemon. \
A daemon that was started with a --data-dir of its own is named by the same option here.

Exit codes:
  0  success
  1  the server rejected the request, or an operation failed
  2  invalid arguments or configuration
  3  the server is unreachable or does not answer
  4  not authorized

Examples:
  presencectl online                   list the present users
  presencectl get alice bob            the presence records of two users
  presencectl set-status alice dnd     alice's custom status: DO_NOT_DISTURB
  presencectl explain alice            why alice has its status, and its timers
  presencectl watch                    the live dashboard
  presencectl events -o ndjson | jq .  every change, for programs
  presencectl doctor                   check the daemon and its files";

const HINT: &str = "\
Global options (described by `presencectl --help`):
  --server URL, --data-dir DIR, --context NAME, --secret-file FILE,
  --ca-file FILE, --token FILE, --timeout TIME, -o FORMAT";

/// Hides the global options in the help of the commands below this one, and names them there.
pub(super) fn with_brief_globals(mut root: Command) -> Command {
    // Hands the global options down.
    root.build();
    root.mut_subcommands(brief)
}

fn brief(command: Command) -> Command {
    let name = command.get_name().to_owned();
    let hint = match command.get_after_help() {
        Some(text) => format!("{HINT}\n\n{text}"),
        None => HINT.to_owned(),
    };
    command
        .mut_args(|arg| {
            let is_what_the_command_is_about = name == "add" && CONTEXT_ADD_OPTIONS.contains(&arg.get_id().as_str());
            if is_what_the_command_is_about {
                return arg.help_heading(None::<&str>);
            }
            let is_hidden = arg.is_hide_set() || arg.is_global_set();
            arg.hide(is_hidden)
        })
        .mut_subcommands(brief)
        .after_help(hint)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::{Cli, parse};

    fn help(words: &[&str]) -> String {
        parse(["presencectl"].iter().chain(words)).unwrap_err().to_string()
    }

    #[test]
    fn commands_name_the_global_options_and_the_tool_describes_them() {
        let whole = help(&["--help"]);
        let globals: Vec<_> = Cli::command()
            .get_arguments()
            .filter(|arg| arg.is_global_set())
            .cloned()
            .collect();
        assert!(globals.len() >= 6, "{globals:?}");
        for words in [
            &["online", "--help"][..],
            &["help", "online"],
            &["online", "-h"],
            &["context", "list", "--help"],
        ] {
            let help = help(words);
            for arg in &globals {
                let text = arg.get_help().unwrap().to_string();
                let name = match arg.get_short() {
                    Some(short) => format!("-{short} "),
                    None => format!("--{} ", arg.get_long().unwrap()),
                };
                assert!(
                    whole
                        .replace('\n', " ")
                        .contains(&text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")),
                    "{text}"
                );
                assert!(help.contains(&name), "{name}: {help}");
                assert!(!help.contains(&text), "{help}");
            }
            assert!(help.contains("`presencectl --help`"), "{help}");
            assert_eq!(help.matches("Global options").count(), 1, "{help}");
        }
    }

    #[test]
    fn the_help_of_context_add_describes_what_a_context_consists_of() {
        let help = help(&["context", "add", "--help"]);
        for described in ["--server <URL>", "--secret-file <FILE>", "--token <FILE>", "--replace"] {
            assert!(help.contains(described), "{described}: {help}");
        }
        assert!(!help.contains("--timeout <TIME>"), "{help}");
        assert_eq!(help.matches("Global options").count(), 1, "{help}");
    }

    #[test]
    fn global_options_that_the_help_hides_work_in_commands() {
        let cli = parse([
            "presencectl",
            "online",
            "-o",
            "json",
            "--timeout",
            "9s",
            "--context",
            "prod",
        ])
        .unwrap();
        assert_eq!(cli.global.context.as_deref(), Some("prod"));
        assert_eq!(cli.global.timeout.as_secs(), 9);
        assert_eq!(cli.global.output, crate::output::Format::Json);
        assert!(help(&["online", "--contxt", "prod"]).contains("'--context'"));
        assert!(help(&["simulate", "--help"]).contains("--keep"));
        assert!(!help(&["simulate", "--help"]).contains("--forget"));
    }
}
