//! The commands, one file each: a command queries the daemon through `client`, fills a report and prints it through
//! `output`. `confirmation`, `ended_sessions` and `never_seen` are shared by several of them.

mod completions;
mod confirmation;
mod context;
mod doctor;
mod drain;
mod end_reports;
mod ended_sessions;
mod events;
mod explain;
mod forget;
mod get;
mod health;
mod kick;
mod man;
mod never_seen;
mod nodes;
mod online;
mod reload;
mod revoke;
mod set_status;
mod simulate;
mod stats;
mod token;
mod watch;

use std::future::Future;

use crate::cli::{Cli, Command};
use crate::client::discover::{DefaultPaths, Finder, Target, TargetOptions};
use crate::client::rest::Rest;
use crate::failure::Failure;
use crate::output::Output;

/// What every command works with.
pub(crate) struct Session {
    pub(crate) finder: Finder,
    pub(crate) output: Output,
}

impl Session {
    fn target(&self) -> Result<Target, Failure> {
        self.finder.find()
    }

    fn rest(&self) -> Result<Rest, Failure> {
        Rest::new(self.target()?)
    }
}

pub(crate) fn run(cli: &Cli) -> Result<(), Failure> {
    let global = &cli.global;
    let mut session = Session {
        finder: Finder {
            arguments: TargetOptions {
                server: global.server.clone(),
                data_dir: global.data_dir.clone(),
                secret_file: global.secret_file.clone(),
                ca_file: global.ca_file.clone(),
                token: global.token.clone(),
                context: global.context.clone(),
            },
            environment: TargetOptions::from_environment(),
            default_paths: DefaultPaths::from_environment(),
            timeout: global.timeout,
        },
        output: Output::stdout(global.output),
    };
    let session = &mut session;
    match &cli.command {
        Command::SetStatus(args) => on_runtime(set_status::run(session, args)),
        Command::Get(args) => on_runtime(get::run(session, args)),
        Command::Online(args) => on_runtime(online::run(session, args)),
        Command::Events(args) => on_runtime(events::run(session, args)),
        Command::Watch(args) => on_runtime(watch::run(session, args)),
        Command::Explain(args) => on_runtime(explain::run(session, args)),
        Command::Kick(args) => on_runtime(kick::run(session, args)),
        Command::Forget(args) => on_runtime(forget::run(session, args)),
        Command::Revoke(args) => on_runtime(revoke::run(session, args)),
        Command::EndReports(args) => on_runtime(end_reports::run(session, args)),
        Command::Nodes => on_runtime(nodes::run(session)),
        Command::Drain(args) => on_runtime(drain::run(session, args)),
        Command::Reload => on_runtime(reload::run(session)),
        Command::Health(args) => on_runtime(health::run(session, args)),
        Command::Stats => on_runtime(stats::run(session)),
        Command::Doctor => on_runtime(doctor::run(session)),
        Command::Simulate(args) => on_runtime(simulate::run(session, args)),
        Command::Token(args) => token::run(session, args),
        Command::Context { action } => context::run(session, action),
        Command::Completions { shell } => completions::run(session, *shell),
        Command::Man { command } => man::run(session, command.as_deref()),
    }
}

/// A single thread suffices, and starts faster than several.
fn on_runtime(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format_args!("can't start the runtime: {error}")))?;
    runtime.block_on(command)
}
