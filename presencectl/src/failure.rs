//! Failures of commands: an exit code, a message and a suggestion. No secret is ever part of a message. Text from users
//! is escaped where the message is built, and once more when it is printed.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::output::escape;

/// Exit codes other than 0. Scripts depend on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The server rejected the request, or an operation here failed that is no usage error.
    Failed = 1,
    /// Invalid arguments, files or configuration.
    Usage = 2,
    /// The server is unreachable.
    Unreachable = 3,
    /// The server rejected the credential (401, 403).
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
    /// A failure to be printed.
    #[error("{message}")]
    Message {
        exit: Exit,
        message: String,
        /// A suggestion, where there is one.
        next: Option<String>,
    },
    /// The command has printed its result already; only the exit code is left.
    #[error("already reported")]
    Reported(Exit),
    /// The reader of stdout closed the pipe, which is no error.
    #[error("the output pipe is closed")]
    PipeClosed,
}

impl Failure {
    fn with_message(exit: Exit, message: impl fmt::Display) -> Self {
        Self::Message {
            exit,
            message: message.to_string(),
            next: None,
        }
    }

    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::with_message(Exit::Failed, message)
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::with_message(Exit::Usage, message)
    }

    pub(crate) fn unreachable(message: impl fmt::Display) -> Self {
        Self::with_message(Exit::Unreachable, message)
    }

    pub(crate) fn not_allowed(message: impl fmt::Display) -> Self {
        Self::with_message(Exit::NotAllowed, message)
    }

    /// Adds a suggestion.
    #[must_use]
    pub(crate) fn next(mut self, advice: impl fmt::Display) -> Self {
        if let Self::Message { next, .. } = &mut self {
            *next = Some(advice.to_string());
        }
        self
    }

    /// Adds to the message.
    #[must_use]
    pub(crate) fn but(mut self, more: &str) -> Self {
        if let Self::Message { message, .. } = &mut self {
            message.push_str("; ");
            message.push_str(more);
        }
        self
    }

    /// The message and the suggestion, for screens that show them in different places.
    pub(crate) fn parts(self) -> (String, Option<String>) {
        match self {
            Self::Message { message, next, .. } => (message, next),
            silent @ (Self::Reported(_) | Self::PipeClosed) => (silent.to_string(), None),
        }
    }

    /// The exit code; `None` is success.
    pub(crate) const fn exit(&self) -> Option<Exit> {
        match self {
            Self::Message { exit, .. } | Self::Reported(exit) => Some(*exit),
            Self::PipeClosed => None,
        }
    }

    /// The text for stderr; empty if there is nothing to print.
    pub(crate) fn report(&self) -> String {
        match self {
            Self::Message { message, next, .. } => {
                let mut text = format!("presencectl: {}\n", escape::scrub(message));
                if let Some(next) = next {
                    text.push_str(&format!("  → {}\n", escape::scrub(next)));
                }
                text
            }
            Self::Reported(_) | Self::PipeClosed => String::new(),
        }
    }
}

impl From<io::Error> for Failure {
    /// Only errors of stdout are converted this way; errors of files name the file.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::PipeClosed
        } else {
            Self::failed(format_args!("can't write to stdout: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_suggestion_and_no_control_character() {
        let failure = Failure::usage("no such \u{1b}[31mthing").next("try\u{202e} another");
        assert_eq!(
            failure.report(),
            "presencectl: no such \\u{1b}[31mthing\n  → try\\u{202e} another\n"
        );
        assert_eq!(failure.exit(), Some(Exit::Usage));
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit(), None);
        assert_eq!(failure.report(), "");
    }
}
