//! The arguments and options of each command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use presence::{CustomStatus, Source, Status, UserId};

use crate::duration;
use crate::value_parsers::{CUSTOM_STATUS, Moment, PRESENT_STATUS, rate, source, user_id};

#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct SetStatus {
    /// The user's id
    #[arg(id = "positional", value_parser = user_id, value_name = "USER", conflicts_with = "user")]
    pub(crate) positional: Option<UserId>,
    /// ONLINE, IDLE or DO_NOT_DISTURB; also dnd, in any case
    #[arg(value_parser = CUSTOM_STATUS, hide_possible_values = true, value_name = "STATUS", required = true)]
    pub(crate) status: CustomStatus,
    /// The user's id, as an option
    #[arg(long, value_parser = user_id, value_name = "USER")]
    pub(crate) user: Option<UserId>,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// User ids; - reads them from stdin, one per line
    #[arg(required = true, value_name = "USER")]
    pub(crate) users: Vec<String>,
    /// Succeed even if the service knows nothing of some of the users
    #[arg(long)]
    pub(crate) ignore_unknown: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Online {
    /// Only users with this status: ONLINE, IDLE or DO_NOT_DISTURB (dnd)
    #[arg(long, value_parser = PRESENT_STATUS, hide_possible_values = true, value_name = "STATUS")]
    pub(crate) status: Option<Status>,
    /// Only user ids with this prefix
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
    /// Sort order; times sort latest first
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    pub(crate) sort: Sort,
    /// Maximum number of users, after sorting [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Sort {
    /// User id, byte by byte
    #[default]
    User,
    /// Last seen, latest first
    LastSeen,
    /// Last active, latest first
    LastActive,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Open with the detail of this user, present or not
    #[arg(long, value_parser = user_id, value_name = "USER")]
    pub(crate) user: Option<UserId>,
    /// Print one snapshot and exit; its size is the terminal's, else $COLUMNS × $LINES, else 120 × 40
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Only changes of these users [default: all users]
    #[arg(long, num_args = 1.., value_parser = user_id, value_name = "USER")]
    pub(crate) user: Vec<UserId>,
}

/// The argument of commands about one user.
#[derive(Debug, Args)]
pub(crate) struct OneUser {
    /// The user's id
    #[arg(value_parser = user_id, value_name = "USER")]
    pub(crate) user: UserId,
    /// Succeed even if the service knows nothing of the user
    #[arg(long)]
    pub(crate) ignore_unknown: bool,
}

/// The arguments of commands that ask for confirmation.
#[derive(Debug, Args)]
pub(crate) struct Confirmed {
    /// The user's id
    #[arg(value_parser = user_id, value_name = "USER")]
    pub(crate) user: UserId,
    /// Skip the confirmation; required without a terminal
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Succeed even if the service knows nothing of the user
    #[arg(long)]
    pub(crate) ignore_unknown: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    pub(crate) confirmed: Confirmed,
    /// Refuse only tokens that were issued (`iat`) before this: a time as in RFC 3339, or how long ago, such as 10m [default: now]
    #[arg(long, value_name = "TIME", value_parser = Moment::parse, allow_hyphen_values = true)]
    pub(crate) before: Option<Moment>,
}

#[derive(Debug, Args)]
pub(crate) struct EndReports {
    /// The source of the reports, as `presencectl explain` shows it
    #[arg(value_parser = source, value_name = "SOURCE")]
    pub(crate) source: Source,
    /// Skip the confirmation; required without a terminal
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// Which node a command is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct NodeToDrain {
    /// The name of the node, as `presencectl nodes` shows it
    #[arg(value_name = "NODE")]
    pub(crate) name: Option<String>,
    /// The node that is asked, whatever its name is
    #[arg(long = "self", id = "asked")]
    pub(crate) is_asked: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(crate) node: NodeToDrain,
    /// Have the node take clients again
    #[arg(long)]
    pub(crate) cancel: bool,
    /// Don't wait until all clients have moved
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Skip the question if the other nodes lack room; required then without a terminal
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Health {
    /// Whether it can serve users now, which takes its database and no drain
    #[arg(long)]
    pub(crate) ready: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Number of simulated users
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) users: u64,
    /// Actions per second of all users together [default: one per user every 10 s]
    #[arg(long, value_name = "R", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Duration, once all users have connected
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    pub(crate) duration: Duration,
    /// Number of users that each one watches
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=5000))]
    pub(crate) watch_per_user: u64,
    /// A further node of the same cluster, http://HOST:PORT, once for each: users spread over the nodes, and go to another one
    /// when they reconnect. Needs --server and --secret-file, or a context
    #[arg(long, value_name = "URL")]
    pub(crate) also: Vec<String>,
    /// Keep the simulated users in the database; without it they are forgotten at the end, if the secret is known
    #[arg(long, conflicts_with = "forget")]
    pub(crate) keep: bool,
    /// Fail at once if the simulated users can't be forgotten at the end
    #[arg(long, hide = true)]
    pub(crate) forget: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The user (`sub` of the token)
    #[arg(value_parser = user_id, value_name = "USER")]
    pub(crate) user: UserId,
    /// The signing key [default: `jwt-key` in the directory of the secret file in use]
    #[arg(long, value_name = "FILE")]
    pub(crate) jwt_key: Option<PathBuf>,
    /// `kid` of the token: the name of the key, if the daemon has a set of keys
    #[arg(long, value_name = "NAME")]
    pub(crate) kid: Option<String>,
    /// Validity of the token
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse_positive)]
    pub(crate) ttl: Duration,
    /// `iss` of the token, if the daemon was started with --jwt-issuer
    #[arg(long, value_name = "TEXT")]
    pub(crate) issuer: Option<String>,
    /// `aud` of the token, if the daemon was started with --jwt-audience
    #[arg(long, value_name = "TEXT")]
    pub(crate) audience: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContextAction {
    /// Add a context: --server URL, and --secret-file or --token
    Add {
        /// Name of the context: 1 to 64 of the characters A-Z a-z 0-9 . _ -
        #[arg(value_name = "NAME")]
        name: String,
        /// The user of `set-status` in this context
        #[arg(long, value_parser = user_id, value_name = "USER")]
        user: Option<UserId>,
        /// Replace an existing context of this name
        #[arg(long)]
        replace: bool,
    },
    /// List the contexts
    List {
        /// Print the names alone, one per line
        #[arg(long)]
        names: bool,
    },
    /// Select the context to use; "local" is the daemon of this machine
    Use {
        /// Name of the context
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Remove a context
    Remove {
        /// Name of the context
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Show a context, by default the one in use
    Show {
        /// Name of the context
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}
