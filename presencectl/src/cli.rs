//! The arguments of every command, and the help that one can learn the tool from. Only words and shapes: what a command
//! does with them is in `commands`, what they mean together (which server, which credential) in `client::discover`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use presence::{CustomStatus, Status, UserId};

use crate::duration;
use crate::output::Format;
use crate::value_parsers::{custom_status, present_status, rate, user_id};

const AFTER_HELP: &str = "\
Finding the daemon: without configuration it is the daemon of this machine, found through its data directory \
($XDG_STATE_HOME/presenced, else ~/.local/state/presenced), where it keeps its address and its secret. That secret \
is sent to no other daemon. Before that count, in this order: --server or --context; PRESENCECTL_SERVER or \
PRESENCECTL_CONTEXT; the context in use (`presencectl context use NAME`).

Exit codes:
  0  done
  1  the server said no
  2  wrong use
  3  the server can't be reached
  4  not allowed

Examples:
  presencectl online                       who is here
  presencectl get alice bob                what others see of them
  presencectl set-status dnd               nobody disturbs me
  presencectl explain alice                why is alice shown so, and what comes next
  presencectl watch                        all of it, live
  presencectl events -o ndjson | jq .      every change, for programs
  presencectl doctor                       is everything as it should be";

/// See and set who is here: the operator's tool for presenced
#[derive(Debug, Parser)]
#[command(name = "presencectl", version, max_term_width = 110, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The daemon's URL, http://HOST:PORT [env: PRESENCECTL_SERVER]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The file with the daemon's internal secret; mode 0600 or tighter [env: PRESENCECTL_SECRET_FILE]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "token")]
    pub(crate) secret_file: Option<PathBuf>,
    /// A file with a user's token: act as that user instead of as the operator [env: PRESENCECTL_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// A named server, see `presencectl context`; "local" is the daemon of this machine [env: PRESENCECTL_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// How to write the result
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

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set what a user is shown as while present
    #[command(after_help = "\
With the secret this is the operator's choice: it takes effect like the user's own, \
but moves no time and is no activity. With --token it is the user's own choice.

Examples:
  presencectl set-status dnd
  presencectl set-status IDLE --user alice
  presencectl --token alice.token set-status online")]
    SetStatus(SetStatus),
    /// Show the records of some users
    #[command(after_help = "\
Examples:
  presencectl get alice bob
  presencectl get - < ids.txt              one id a line, any number of them
  presencectl get alice -o json | jq -r '.users[0].status'")]
    Get(Get),
    /// List who is present
    #[command(after_help = "\
Examples:
  presencectl online
  presencectl online --status dnd --prefix team-a/
  presencectl online --sort last-active --limit 20
  presencectl online -o csv > present.csv")]
    Online(Online),
    /// Watch everything live: the dashboard
    #[command(after_help = "\
Users by status with their history, everyone present, every change, and why one user is shown so, as it happens. \
Press ? for every key; q quits. Needs the secret. NO_COLOR is respected.

Examples:
  presencectl watch
  presencectl watch --user alice           opens on alice
  presencectl watch --once                 one picture on stdout, for scripts")]
    Watch(Watch),
    /// Print every change as it happens
    #[command(after_help = "\
One line a change: time, user, from → to, and the reason. With -o json or -o ndjson one object a line. \
The stream survives a restart of the daemon: it says so on stderr, reconnects with growing delays and goes on \
where it was. Changes that follow each other closely may come as one, the last one never gets lost.

Examples:
  presencectl events
  presencectl events --user alice bob
  presencectl events -o ndjson | jq -c 'select(.to == \"OFFLINE\") | .userId'")]
    Events(Events),
    /// Say why a user is shown so, and what will change it next
    #[command(after_help = "\
Examples:
  presencectl explain alice
  presencectl explain alice -o json | jq .next")]
    Explain(OneUser),
    /// End every session of a user: OFFLINE now
    #[command(after_help = "\
The user's programs are told not to come back by themselves (close code 4003). The custom status stays.

Examples:
  presencectl kick alice
  presencectl kick alice --yes             without a question, for scripts")]
    Kick(Confirmed),
    /// Remove a user and everything known of it
    #[command(after_help = "\
As `kick`, and the record and the custom status are gone. A user that connects again begins anew.

Examples:
  presencectl forget alice
  presencectl forget alice --yes           without a question, for scripts")]
    Forget(Confirmed),
    /// Show the daemon's numbers
    #[command(after_help = "\
Examples:
  presencectl stats
  watch -n1 presencectl stats
  presencectl stats -o json | jq .rates")]
    Stats,
    /// Check everything, with the fix for what is wrong
    #[command(after_help = "\
Exit code 0: nothing failed (warnings may stand). 1: something failed. 3: the daemon can't be reached.

Examples:
  presencectl doctor
  presencectl doctor -o json | jq '.checks[] | select(.result != \"ok\")'")]
    Doctor,
    /// Let simulated people use the daemon, and measure it
    #[command(after_help = "\
The people are called sim-00001 and so on. They arrive, report activity, go idle, switch their status, reload \
their page (close code 1001), crash (the connection just ends) and watch each other, over real WebSockets. They \
all leave properly at the end, also after Ctrl-C; whoever crashed just before is OFFLINE after the daemon's grace.
Exit code 1 if more than 1 % of connects and changes went wrong.

Examples:
  presencectl simulate --users 20                          a look, beside `presencectl events`
  presencectl simulate --users 5000 --rate 200 --duration 2m --watch-per-user 50
  presencectl simulate --users 1000 --forget -o json       leaves nothing behind, for a script")]
    Simulate(Simulate),
    /// Print a token for a user, signed here: for development
    #[command(after_help = "\
The daemon isn't asked: the token is signed with its key, which is only found where the daemon's files are. \
A PEM private key signs with RS256, ES256 or EdDSA as the key is; anything else is an HS256 secret.

Examples:
  presencectl token alice > alice.token && chmod 600 alice.token
  curl -H \"Authorization: Bearer $(presencectl token alice)\" http://127.0.0.1:7420/api/presence/alice
  presencectl token alice --jwt-key private.pem --ttl 5m")]
    Token(Token),
    /// Name servers, and choose the one in use
    #[command(after_help = "\
Contexts are kept in $XDG_CONFIG_HOME/presencectl/config.toml, else ~/.config/presencectl/config.toml. They hold \
the paths of secrets, never a secret.

Examples:
  presencectl context add prod --server http://10.0.0.1:7420 --secret-file ~/prod.secret
  presencectl context use prod
  presencectl --context local online       the daemon of this machine, this once
  presencectl context use local            the daemon of this machine again")]
    Context {
        #[command(subcommand)]
        action: ContextAction,
    },
    /// Print the completions for a shell
    #[command(after_help = "\
Examples:
  presencectl completions bash > ~/.local/share/bash-completion/completions/presencectl
  presencectl completions zsh > ~/.zfunc/_presencectl
  presencectl completions fish > ~/.config/fish/completions/presencectl.fish")]
    Completions {
        /// For which shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print the man page, of one command or of all
    #[command(after_help = "\
Examples:
  presencectl man | man -l -
  presencectl man events > presencectl-events.1")]
    Man {
        /// The page of this command only
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
    },
}

/// `set-status`.
#[derive(Debug, Args)]
pub(crate) struct SetStatus {
    /// ONLINE, IDLE or DO_NOT_DISTURB; also dnd, in any case
    #[arg(value_parser = custom_status, value_name = "STATUS")]
    pub(crate) status: CustomStatus,
    /// Whose; by default the context's user, else $LOGNAME, $USER, the account's name; with --token its user
    #[arg(long, value_parser = user_id, value_name = "USER")]
    pub(crate) user: Option<UserId>,
}

/// `get`.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// User ids; - reads them from stdin, one a line
    #[arg(required = true, value_name = "USER")]
    pub(crate) users: Vec<String>,
}

/// `online`.
#[derive(Debug, Args)]
pub(crate) struct Online {
    /// Only those shown as ONLINE, IDLE or DO_NOT_DISTURB (dnd)
    #[arg(long, value_parser = present_status, value_name = "STATUS")]
    pub(crate) status: Option<Status>,
    /// Only ids that begin so
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
    /// In which order; times: latest first
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    pub(crate) sort: Sort,
    /// At most so many, after sorting; by default everyone
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

/// Orders of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Sort {
    /// By id, byte for byte
    #[default]
    User,
    /// Who was heard last comes first
    LastSeen,
    /// Who did something last comes first
    LastActive,
}

/// `watch`.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Open on this user, whether present or not
    #[arg(long, value_parser = user_id, value_name = "USER")]
    pub(crate) user: Option<UserId>,
    /// Print one picture and end; as large as the terminal, else $COLUMNS × $LINES, else 120 × 40
    #[arg(long)]
    pub(crate) once: bool,
}

/// `events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Only these users; by default everyone
    #[arg(long, num_args = 1.., value_parser = user_id, value_name = "USER")]
    pub(crate) user: Vec<UserId>,
}

/// A command about one user.
#[derive(Debug, Args)]
pub(crate) struct OneUser {
    /// The user's id
    #[arg(value_parser = user_id, value_name = "USER")]
    pub(crate) user: UserId,
}

/// A command about one user that is asked about first.
#[derive(Debug, Args)]
pub(crate) struct Confirmed {
    /// The user's id
    #[arg(value_parser = user_id, value_name = "USER")]
    pub(crate) user: UserId,
    /// Don't ask; needed where nobody can be asked
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// `simulate`.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// How many people
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) users: u64,
    /// How many things they do a second, all together; by default one a person every 10 s
    #[arg(long, value_name = "R", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// For how long, once all have arrived
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    pub(crate) duration: Duration,
    /// How many others each of them watches
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=5000))]
    pub(crate) watch_per_user: u64,
    /// Forget the simulated people at the end; needs the secret
    #[arg(long)]
    pub(crate) forget: bool,
}

/// `token`.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The user the token is for
    #[arg(value_parser = user_id, value_name = "USER")]
    pub(crate) user: UserId,
    /// The signing key; by default the `jwt-key` beside the secret file in use
    #[arg(long, value_name = "FILE")]
    pub(crate) jwt_key: Option<PathBuf>,
    /// For how long it is valid
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse)]
    pub(crate) ttl: Duration,
    /// The issuer, if the daemon was started with --jwt-issuer
    #[arg(long, value_name = "TEXT")]
    pub(crate) issuer: Option<String>,
    /// The audience, if the daemon was started with --jwt-audience
    #[arg(long, value_name = "TEXT")]
    pub(crate) audience: Option<String>,
}

/// `context …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextAction {
    /// Name a server: --server URL, and --secret-file or --token
    Add {
        /// 1 to 64 of A-Z a-z 0-9 - _ .
        name: String,
        /// Who `--user` is if it isn't given
        #[arg(long, value_parser = user_id, value_name = "USER")]
        user: Option<UserId>,
        /// Replace a context of the same name
        #[arg(long)]
        replace: bool,
    },
    /// List the contexts
    List,
    /// Choose the one in use; "local" is the daemon of this machine
    Use {
        /// Its name
        name: String,
    },
    /// Remove a context
    Remove {
        /// Its name
        name: String,
    },
    /// Show a context, by default the one in use
    Show {
        /// Its name
        name: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Examples:"), "{}", command.get_name());
        }
    }
}
