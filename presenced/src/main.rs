//! `presenced`: the presence daemon. Reads the configuration, starts logging and the runtime, and prints errors; [`app`] builds
//! everything else.

#[cfg(feature = "jemalloc")]
mod allocator;
mod api;
mod app;
mod auth;
mod clock;
mod cluster;
mod config;
mod connection;
mod data_dir;
mod engine;
mod error_text;
mod exceeded_limit;
mod files;
mod gateway;
mod limits;
mod logging;
mod percent;
mod postgres_url;
mod redis_url;
mod reload_requests;
mod request_id;
mod revocation;
mod server;
mod service_manager;
mod store;
mod tcp;
mod tls;
mod vital;

use std::io::Write;
use std::process::ExitCode;

use prometheus_client::registry::Registry;

use config::{Config, ImportCommand, LogFormat, Outcome};

/// Exit code of an invalid command line or configuration.
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    match config::load(std::env::args_os(), std::env::vars_os()) {
        Ok(Outcome::Run(config)) => run(*config),
        Ok(Outcome::Import(command)) => import(command),
        Ok(Outcome::Print(text)) => {
            // Fails if the reader closed the pipe early.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_error(&error);
            ExitCode::from(USAGE_ERROR)
        }
    }
}

fn run(config: Config) -> ExitCode {
    let mut registry = Registry::with_prefix("presenced");
    let logging = logging::LogMetrics::register(&mut registry);
    let (log_level, last_lines) = match logging::start(config.log_format, config.log_level, logging) {
        Ok(started) => started,
        Err(error) => {
            print_error(&format_args!("can't start the log: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let ended = runtime.block_on(app::run(config, registry, log_level));
        // Not waiting for clients that still read: everything durable is written.
        runtime.shutdown_background();
        ended
    });
    last_lines.wait();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error_text::ErrorText(&error));
            ExitCode::FAILURE
        }
    }
}

/// Copies a database. Its log has warnings alone: progress is told otherwise.
fn import(command: ImportCommand) -> ExitCode {
    let logging = logging::LogMetrics::register(&mut Registry::default());
    let log = logging::start(LogFormat::Text, tracing::Level::WARN, logging);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let imported = log
        .and_then(|(_, last_lines)| Ok((runtime?, last_lines)))
        .map_err(anyhow::Error::from)
        .and_then(|(runtime, last_lines)| {
            let imported = runtime.block_on(app::import::run(command));
            last_lines.wait();
            Ok(imported?)
        });
    match imported {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints one line on stderr.
fn print_error(error: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "presenced: {error}");
}
