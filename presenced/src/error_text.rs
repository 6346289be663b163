//! An error and its causes as one line, each cause once: some errors name their cause themselves.

use std::fmt;

/// Shows an error with its causes.
pub(crate) struct ErrorText<'a>(pub(crate) &'a anyhow::Error);

impl fmt::Display for ErrorText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = String::new();
        for cause in self.0.chain() {
            let text = cause.to_string();
            if shown.ends_with(&text) {
                continue;
            }
            if !shown.is_empty() {
                shown.push_str(": ");
            }
            shown.push_str(&text);
        }
        f.write_str(&shown)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("can't use \"/nope\": {source}")]
    struct NamesItsCause {
        source: io::Error,
    }

    #[test]
    fn each_cause_is_shown_once() {
        let cause = || io::Error::from(io::ErrorKind::NotFound);
        let named = anyhow::Error::from(NamesItsCause { source: cause() });
        assert_eq!(ErrorText(&named).to_string(), "can't use \"/nope\": entity not found");
        let unnamed = Err::<(), _>(cause()).context("can't listen").expect_err("an error");
        assert_eq!(ErrorText(&unnamed).to_string(), "can't listen: entity not found");
        let outer = Err::<(), _>(named).context("--secret-file").expect_err("an error");
        assert_eq!(
            ErrorText(&outer).to_string(),
            "--secret-file: can't use \"/nope\": entity not found"
        );
    }
}
