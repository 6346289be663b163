//! The one way a command fails: an exit code that scripts may rely on, what went wrong, and what to do next.
//! Secrets never get here; text of users is escaped by whoever writes the message, and once more when it is printed.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::output::escape;

/// The exit codes, other than 0 for "done". Scripts depend on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The server said no, or something here failed that is nobody's misuse.
    Failed = 1,
    /// Wrong use: arguments, files, configuration.
    Usage = 2,
    /// The server can't be reached.
    Unreachable = 3,
    /// The server does not allow it (401, 403).
    NotAllowed = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something to tell.
    #[error("{message}")]
    Said {
        /// How the process ends.
        exit: Exit,
        /// What went wrong.
        message: String,
        /// What to do next, where that is known.
        next: Option<String>,
    },
    /// The command has told everything already; only the exit code is left.
    #[error("told already")]
    Told(Exit),
    /// Whoever read our output has had enough. That is no error.
    #[error("the reader of the output is gone")]
    PipeClosed,
}

impl Failure {
    fn said(exit: Exit, message: impl fmt::Display) -> Self {
        Self::Said {
            exit,
            message: message.to_string(),
            next: None,
        }
    }

    /// The server said no, or something failed here.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::said(Exit::Failed, message)
    }

    /// Wrong use.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::said(Exit::Usage, message)
    }

    /// The server can't be reached.
    pub(crate) fn unreachable(message: impl fmt::Display) -> Self {
        Self::said(Exit::Unreachable, message)
    }

    /// The server does not allow it.
    pub(crate) fn not_allowed(message: impl fmt::Display) -> Self {
        Self::said(Exit::NotAllowed, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn next(mut self, advice: impl fmt::Display) -> Self {
        if let Self::Said { next, .. } = &mut self {
            *next = Some(advice.to_string());
        }
        self
    }

    /// What went wrong and what to do next, for a screen that has places for both.
    pub(crate) fn parts(self) -> (String, Option<String>) {
        match self {
            Self::Said { message, next, .. } => (message, next),
            told @ (Self::Told(_) | Self::PipeClosed) => (told.to_string(), None),
        }
    }

    /// How the process ends; none if that is no failure.
    pub(crate) const fn exit(&self) -> Option<Exit> {
        match self {
            Self::Said { exit, .. } | Self::Told(exit) => Some(*exit),
            Self::PipeClosed => None,
        }
    }

    /// What is printed to stderr; empty if there is nothing to tell.
    pub(crate) fn report(&self) -> String {
        match self {
            Self::Said { message, next, .. } => {
                let mut text = format!("presencectl: {}\n", escape::scrub(message));
                if let Some(next) = next {
                    text.push_str(&format!("  → {}\n", escape::scrub(next)));
                }
                text
            }
            Self::Told(_) | Self::PipeClosed => String::new(),
        }
    }
}

impl From<io::Error> for Failure {
    /// Only writing to stdout is turned into a failure this way; everything else names its file.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::PipeClosed
        } else {
            Self::failed(format_args!("can't write the output: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_to_do_next_and_shows_no_control_character() {
        let failure = Failure::usage("no such \u{1b}[31mthing").next("try\u{202e} another");
        assert_eq!(
            failure.report(),
            "presencectl: no such \\u{1b}[31mthing\n  → try\\u{202e} another\n"
        );
        assert_eq!(failure.exit(), Some(Exit::Usage));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit(), None);
        assert_eq!(failure.report(), "");
    }
}
