//! The commands, the global options and the help texts; the arguments of each command are in `arguments`. What commands
//! do is in `commands`; which server and credential the options select is decided in `client::discover`.

mod arguments;
mod help;
mod suggestions;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};

#[cfg(test)]
pub(crate) use arguments::NodeToDrain;
pub(crate) use arguments::{
    Confirmed, ContextAction, Drain, EndReports, Events, Get, Health, OneUser, Online, Revoke, SetStatus, Simulate,
    Sort, Token, Watch,
};

use crate::duration;
use crate::output::Format;

/// The command-line tool for operators of presenced: presence, custom statuses, diagnosis
#[derive(Debug, Parser)]
#[command(name = "presencectl", version, max_term_width = 110, after_help = help::AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The daemon's URL, http://HOST:PORT or https://HOST:PORT [env: PRESENCECTL_SERVER]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The data directory of a daemon of this machine, for one started with --data-dir [env: PRESENCECTL_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) data_dir: Option<PathBuf>,
    /// File with the daemon's internal secret, mode 0600 or stricter [env: PRESENCECTL_SECRET_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// File with the certificates, in PEM, that may sign the daemon's [env: PRESENCECTL_CA_FILE] [default: those that the
    /// system trusts; of the daemon of this machine: its own]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// File with a user's token: act as that user instead of the operator [env: PRESENCECTL_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// Context to use, see `presencectl context`; "local" is the daemon of this machine [env: PRESENCECTL_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// How long to wait for an answer of the daemon
    #[arg(long, global = true, value_name = "TIME", default_value = "5s", value_parser = duration::parse_positive)]
    pub(crate) timeout: Duration,
    /// Output format
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = false
    )]
    pub(crate) output: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set the custom status of a user
    #[command(after_help = "\
The custom status is what others see while the user is present. With the secret it is set by the operator: it takes \
effect in the same way, but does not count as activity and changes no time. With --token the user sets it. Without USER \
it is the context's user, or the token's; else, on a terminal, the name of this account after a question.

Examples:
  presencectl set-status alice dnd
  presencectl set-status IDLE --user alice
  presencectl --token alice.token set-status online")]
    SetStatus(SetStatus),
    /// Show the presence records of users
    #[command(after_help = "\
Examples:
  presencectl get alice bob
  presencectl get - < ids.txt              one id per line, any number of ids
  presencectl get alice -o json | jq -r '.users[0].status'")]
    #[command(alias = "show")]
    Get(Get),
    /// List the present users
    #[command(after_help = "\
Examples:
  presencectl online
  presencectl online --status dnd --prefix team-a/
  presencectl online --sort last-active --limit 20
  presencectl online -o csv > present.csv")]
    #[command(aliases = ["list", "ls", "who", "users"])]
    Online(Online),
    /// Open the live dashboard
    #[command(after_help = "\
Shows the users by status with their history, the present users, every change, and the explanation of one user, \
updated live. ? lists the keys, q quits. Needs the secret. NO_COLOR is respected.

Examples:
  presencectl watch
  presencectl watch --user alice           open with the detail of alice
  presencectl watch --once                 print one snapshot, for scripts")]
    #[command(alias = "top")]
    Watch(Watch),
    /// Print every change as it happens
    #[command(after_help = "\
One line per change: time, user, from → to, and the reason. With -o json or -o ndjson one object per line. \
When the connection is lost, the command reports that on stderr, reconnects with growing delays and resumes the stream. \
Several changes of a user in quick succession may be conflated; the last one is always delivered.

Examples:
  presencectl events
  presencectl events --user alice bob
  presencectl events -o ndjson | jq -c 'select(.to == \"OFFLINE\") | .userId'")]
    #[command(alias = "tail")]
    Events(Events),
    /// Explain the status of a user: reason, sessions on all nodes, timers
    #[command(after_help = "\
Examples:
  presencectl explain alice
  presencectl explain alice -o json | jq .next")]
    Explain(OneUser),
    /// End all sessions of a user, who is OFFLINE until it connects again
    #[command(after_help = "\
Connections are closed with code 4003, after which clients must not reconnect automatically. The custom status is kept.

Examples:
  presencectl kick alice
  presencectl kick alice --yes             without confirmation, for scripts")]
    Kick(Confirmed),
    /// Delete a user: sessions, record and custom status
    #[command(after_help = "\
As `kick`, and the presence record and the custom status are deleted. A user that connects again starts without them.

Examples:
  presencectl forget alice
  presencectl forget alice --yes           without confirmation, for scripts")]
    Forget(Confirmed),
    /// Refuse a user's tokens that were issued until now, and end all sessions
    #[command(after_help = "\
On all nodes, and also after a restart: a token whose iat is earlier, or that has none, is refused. Connections are closed \
with code 4001, after which clients get a new token and connect again, within the grace period; reports of gateways end. \
A user who must not come back has to get no new tokens: revoke after the application has stopped to issue them. A later call \
never takes an earlier one back. Users whom a trusted proxy or the secret names have no tokens: their connections end, and \
they may connect again.

Examples:
  presencectl revoke alice
  presencectl revoke alice --before 10m    what was issued since is accepted
  presencectl revoke alice --before 2026-11-30T06:00:00Z
  presencectl revoke alice --yes           without confirmation, for scripts")]
    Revoke(Revoke),
    /// End all reports of a gateway that is gone
    #[command(after_help = "\
A report is a session that an outside gateway holds (PUT /api/user/realtime). One without a lifetime holds until its \
gateway ends it; if the gateway crashed for good, this ends all reports of its source, of every user. No last seen or \
last active changes. A gateway that still runs opens its reports again.

Examples:
  presencectl end-reports mqtt-1
  presencectl end-reports mqtt-1 --yes     without confirmation, for scripts")]
    EndReports(EndReports),
    /// List the nodes of the cluster
    #[command(after_help = "\
A node is a daemon that shares its users with others through Redis; of a daemon alone only itself is listed. LAST TICK is \
how long ago the node that answers last read a sign of life of the other: one that is silent for the lease (15 s) is \
declared dead. LAG is how long a node's own ticks take through the log in Redis and back to it. Both are of the partition \
where they are the longest.

Examples:
  presencectl nodes
  presencectl nodes -o json | jq -r '.nodes[] | .name + \" \" + .version'")]
    Nodes,
    /// Move the clients of a node to the other nodes
    #[command(after_help = "\
The node closes its connections one after the other (--drain-rate of the daemon) with code 1012, after which clients \
connect again, and takes no new ones: /readyz answers 503, so that balancers send clients to the other nodes. Users who \
come back within the restart grace are not shown as OFFLINE by any node. The node goes on running and takes part in the \
cluster; it takes clients again after a restart or --cancel. Any node can be asked: it tells the one that is meant.

If the other nodes have no room for all of them, there is a question first. Ctrl-C ends the waiting, not the drain.
Exit code 1 if the node could not be drained, or not all of its clients went.

Examples:
  presencectl drain b && ssh b systemctl restart presenced
  presencectl drain b --cancel
  presencectl drain b --yes --no-wait     for scripts
  presencectl drain --self --yes          before a container is stopped")]
    Drain(Drain),
    /// Have the daemon read its secrets, keys and settings again
    #[command(after_help = "\
As SIGHUP does: all or nothing, and no connection ends that is still authorized. It is the node that is asked; in a cluster, ask each.
Exit code 1 if a file or a setting is missing or invalid: everything stays as it was then.

Examples:
  presencectl reload
  presencectl reload -o json | jq -e '.restartNeeded == null'")]
    Reload,
    /// Tell whether the daemon is alive, or ready, for health checks
    #[command(after_help = "\
Asks /healthz, or /readyz with --ready, and needs no credential. Exit code 0: yes. 1: no, and the output says why. 3: the daemon \
does not answer. A node that drains is alive and not ready; one whose database fails too.

Examples:
  presencectl health
  presencectl health --ready -o json | jq -r '.problems[]'")]
    Health(Health),
    /// Show the daemon's statistics
    #[command(after_help = "\
Examples:
  presencectl stats
  watch -n1 presencectl stats
  presencectl stats -o json | jq .rates")]
    Stats,
    /// Diagnose problems and suggest fixes
    #[command(after_help = "\
Exit code 0: no check failed (there may be warnings). 1: a check failed. 3: the daemon is unreachable.

Examples:
  presencectl doctor
  presencectl doctor -o json | jq '.checks[] | select(.result != \"ok\")'")]
    Doctor,
    /// Generate load with simulated users and measure latencies
    #[command(after_help = "\
The users are named sim-00001 and so on. Over real WebSockets they connect, report activity, become idle, set their \
custom status, reload (close code 1001), crash (the connection is dropped) and watch each other. At the end, also after \
Ctrl-C, all of them disconnect with a clean close and are forgotten (with the secret, unless --keep). A restart of the daemon \
meanwhile, and whatever it asked to repeat later, is no failure. Users that reconnect continue their session; how many could, \
and who was shown OFFLINE without having signed out, is in the result.
Exit code 1 if more than 1 % of the connects and changes failed.

Examples:
  presencectl simulate --users 20   a quick look, next to `presencectl events`
  presencectl simulate --users 5000 --rate 200 --duration 2m --watch-per-user 50
  presencectl simulate --users 1000 --keep -o json   the users stay, for scripts
  presencectl simulate --users 600 --server http://10.0.0.1:7420 \\
    --also http://10.0.0.2:7420 --secret-file ~/prod.secret")]
    Simulate(Simulate),
    /// Sign a token for a user, for development
    #[command(after_help = "\
The token is signed locally with the daemon's key, so the daemon's files must be readable. \
A PEM private key signs with RS256, ES256 or EdDSA, depending on its type; anything else is an HS256 secret.

Examples:
  presencectl token alice > alice.token && chmod 600 alice.token
  curl http://127.0.0.1:7420/api/presence/alice \\
    -H \"Authorization: Bearer $(presencectl token alice)\"
  presencectl token alice --jwt-key private.pem --ttl 5m")]
    Token(Token),
    /// Manage contexts: named servers with their credentials
    #[command(after_help = "\
Contexts are stored in $XDG_CONFIG_HOME/presencectl/config.toml, else ~/.config/presencectl/config.toml. They contain \
the paths of secrets, never a secret.

Examples:
  presencectl context add prod --server http://10.0.0.1:7420 \\
    --secret-file ~/prod.secret
  presencectl context use prod
  presencectl --context local online   the daemon of this machine, this once
  presencectl context use local        back to the daemon of this machine")]
    Context {
        #[command(subcommand)]
        action: ContextAction,
    },
    /// Print the completion script of a shell
    #[command(after_help = "\
Examples:
  bash, with the package bash-completion:
    d=~/.local/share/bash-completion/completions; mkdir -p $d
    presencectl completions bash > $d/presencectl
  zsh, the last line once:
    mkdir -p ~/.zfunc && presencectl completions zsh > ~/.zfunc/_presencectl
    echo 'fpath+=~/.zfunc; autoload -Uz compinit; compinit' >> ~/.zshrc
  fish:
    mkdir -p ~/.config/fish/completions
    presencectl completions fish > ~/.config/fish/completions/presencectl.fish")]
    Completions {
        /// The shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print the man page
    #[command(after_help = "\
Examples:
  presencectl man | man -l -
  presencectl man events > presencectl-events.1")]
    Man {
        /// Print the page of this command
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
    },
}

/// What `context add` stores.
const CONTEXT_ADD_OPTIONS: [&str; 4] = ["server", "secret_file", "ca_file", "token"];

/// Parses a command line.
pub(crate) fn parse<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>) -> Result<Cli, clap::Error> {
    let mut command = help::with_brief_globals(Cli::command());
    let mut matches = command
        .try_get_matches_from_mut(words)
        .map_err(suggestions::with_suggestion)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_timeout_is_five_seconds_unless_given() {
        let timeout = |arguments: &[&str]| parse(arguments).unwrap().global.timeout;
        assert_eq!(timeout(&["presencectl", "stats"]), Duration::from_secs(5));
        assert_eq!(
            timeout(&["presencectl", "stats", "--timeout", "1m"]),
            Duration::from_secs(60)
        );
    }

    #[test]
    fn familiar_names_of_other_tools_work() {
        for (name, command) in [
            ("list", "online"),
            ("ls", "online"),
            ("who", "online"),
            ("users", "online"),
            ("show", "get"),
            ("top", "watch"),
            ("tail", "events"),
        ] {
            let cli = Cli::command();
            assert_eq!(
                cli.find_subcommand(name).map(clap::Command::get_name),
                Some(command),
                "{name}"
            );
        }
        let help = parse(["presencectl", "help", "kick"]).unwrap_err();
        assert_eq!(help.kind(), clap::error::ErrorKind::DisplayHelp);
        assert!(help.to_string().contains("4003"), "{help}");
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Examples:"), "{}", command.get_name());
        }
    }

    /// The help texts of a command and of those below it.
    fn after_help_of(command: &clap::Command) -> Vec<String> {
        let own = command.get_after_help().map(ToString::to_string);
        let below = command.get_subcommands().flat_map(after_help_of);
        own.into_iter().chain(below).collect()
    }

    #[test]
    fn examples_of_the_help_fit_into_80_columns() {
        let texts = after_help_of(&Cli::command());
        assert!(texts.len() > 5, "{texts:?}");
        for text in texts {
            let lines = text.lines().skip_while(|line| *line != "Examples:");
            for line in lines {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
