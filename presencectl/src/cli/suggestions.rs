//! The command that is suggested for an unknown one.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};

/// Words of other tools for what a command here does.
const FAMILIAR: [(&str, &str); 10] = [
    ("delete", "forget"),
    ("remove", "forget"),
    ("rm", "forget"),
    ("ban", "kick"),
    ("block", "kick"),
    ("disconnect", "kick"),
    ("logout", "kick"),
    ("set", "set-status"),
    ("status", "get"),
    ("why", "explain"),
];

/// Below this length, a name that differs by a letter is another word.
const TYPO_LETTERS_MIN: usize = 4;

/// Suggests the command that does what an unknown one does elsewhere, and none that only sounds like a short one.
pub(super) fn with_suggestion(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let meant = FAMILIAR.iter().find(|(familiar, _)| familiar == name);
    let is_short = name.len() < TYPO_LETTERS_MIN;
    if meant.is_some() || is_short {
        error.remove(ContextKind::SuggestedSubcommand);
        error.remove(ContextKind::Suggested);
    }
    if let Some((_, command)) = meant {
        let tip = StyledStr::from(format!("here it is `presencectl {command}`"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::{Cli, parse};
    use super::*;

    #[test]
    fn an_unknown_command_has_the_suggestion_it_means_or_none() {
        let shown = |name: &str| {
            let error = parse(["presencectl", name, "alice"]).unwrap_err();
            error.to_string()
        };
        for (name, command) in FAMILIAR {
            let shown = shown(name);
            assert!(shown.contains(&format!("`presencectl {command}`")), "{name}: {shown}");
            assert!(Cli::command().find_subcommand(command).is_some(), "{command}");
            assert!(!shown.contains("similar"), "{name}: {shown}");
        }
        for name in ["fan", "can"] {
            assert!(!shown(name).contains("tip:"), "{name}");
        }
        assert!(shown("explian").contains("'explain'"));
    }
}
