//! Questions on the terminal. Without a terminal `kick` and `forget` require `--yes`.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::cli::Confirmed;
use crate::failure::Failure;

/// Fails if `--yes` was not given and nobody can be asked.
pub(super) fn check_possible(args: &Confirmed) -> Result<(), Failure> {
    if args.yes || is_possible() {
        return Ok(());
    }
    Err(needs_terminal())
}

fn needs_terminal() -> Failure {
    Failure::usage("confirmation needs a terminal; nothing was done").next("use --yes to skip the confirmation")
}

/// Asks on the terminal, unless `--yes` was given.
pub(super) fn confirm(args: &Confirmed, question: &str) -> Result<(), Failure> {
    confirm_unless(args.yes, question)
}

pub(super) fn confirm_unless(is_confirmed: bool, question: &str) -> Result<(), Failure> {
    if is_confirmed {
        return Ok(());
    }
    if !is_possible() {
        return Err(needs_terminal());
    }
    ask(question)
}

pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Fails unless the answer is yes.
pub(super) fn ask(question: &str) -> Result<(), Failure> {
    let mut stderr = io::stderr();
    let mut answer = String::new();
    let asked = write!(stderr, "{question} [y/N] ")
        .and_then(|()| stderr.flush())
        .and_then(|()| io::stdin().lock().read_line(&mut answer));
    if asked.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::failed("cancelled; nothing was done"))
    }
}
