//! `presencectl`, the command-line tool for operators of presenced: parses the arguments, runs one command and maps its
//! result to an exit code. The commands are in `commands`.

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

use clap::error::ErrorKind;

use failure::Exit;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return not_a_command(&error),
    };
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Ignored: without stderr there is nowhere left to report to.
            let _ = std::io::stderr().write_all(failure.report().as_bytes());
            failure.exit().map_or(ExitCode::SUCCESS, ExitCode::from)
        }
    }
}

/// Prints help and version to stdout with exit code 0. An error message repeats user input, so it is printed without
/// colour and with control characters escaped.
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
