//! The confirmation of `kick` and `forget`. Without a terminal they require `--yes`.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::cli::Confirmed;
use crate::failure::Failure;

/// Asks on the terminal, unless `--yes` was given.
pub(super) fn confirm(args: &Confirmed, question: &str) -> Result<(), Failure> {
    confirm_unless(args.yes, question)
}

pub(super) fn confirm_unless(is_confirmed: bool, question: &str) -> Result<(), Failure> {
    if is_confirmed {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage("confirmation needs a terminal; nothing was done")
            .next("use --yes to skip the confirmation"));
    }
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
