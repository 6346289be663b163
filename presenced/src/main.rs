//! `presenced`: the presence daemon. What was typed is read here, and what went wrong is said here; everything in between
//! is built in [`app`].

mod api;
mod app;
mod auth;
mod clock;
mod cluster;
mod config;
mod connection;
mod data_dir;
mod engine;
mod gateway;
mod limit;
mod logging;
mod server;
mod store;

use std::io::Write;
use std::process::ExitCode;

use prometheus_client::registry::Registry;

use config::{Config, Outcome};

/// Exit code of a start that was refused because of what was typed.
const WRONG_USE: u8 = 2;

fn main() -> ExitCode {
    match config::load(std::env::args_os(), std::env::vars_os()) {
        Ok(Outcome::Run(config)) => run(*config),
        Ok(Outcome::Print(text)) => {
            // Whoever closed the pipe early has seen enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(WRONG_USE)
        }
    }
}

fn run(config: Config) -> ExitCode {
    let mut registry = Registry::with_prefix("presenced");
    let logging = logging::LogMetrics::register(&mut registry);
    if let Err(error) = logging::start(config.log_format, config.log_level, logging) {
        complain(&format_args!("can't start the log: {error}"));
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let ended = runtime.block_on(app::run(config, registry));
        // What a client still reads is not waited for: everything that matters was written before.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// One line on stderr.
fn complain(error: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "presenced: {error:#}");
}
