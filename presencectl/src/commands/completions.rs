//! `completions`: prints the completion script of a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Session;
use crate::cli::Cli;
use crate::failure::Failure;

pub(super) fn run(session: &mut Session, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "presencectl", &mut script);
    session.output.text(&String::from_utf8_lossy(&script))
}
