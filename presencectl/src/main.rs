//! `presencectl`: the operator's tool for presenced. Parses the arguments, runs one command, and turns how it ended into
//! an exit code. What a command does is in `commands`; nothing else is decided here.

mod cli;
mod client;
mod clock;
mod commands;
mod context;
mod duration;
mod failure;
mod output;
mod rng;
mod tui;
mod value_parsers;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::Cli;
use failure::Exit;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_a_command(&error),
    };
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to be told if stderr is closed as well.
            let _ = std::io::stderr().write_all(failure.report().as_bytes());
            failure.exit().map_or(ExitCode::SUCCESS, ExitCode::from)
        }
    }
}

/// Help and version go to stdout and are no error. An error repeats what was typed, so it is printed without colour and
/// with its control characters escaped.
fn not_a_command(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => {
            let text = error.render().to_string();
            let _ = std::io::stderr().write_all(output::escape::scrub(&text).as_bytes());
            ExitCode::from(Exit::Usage)
        }
    }
}
