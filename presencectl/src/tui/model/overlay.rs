//! What lies over the panels and takes the keys: help, the palette, menus, questions. Only what is chosen; nothing is done here.

use presence::{CustomStatus, UserId};

use super::super::effect::ExportFormat;
use super::super::keymap::{self, Binding, Place};
use super::text_input::TextInput;

/// What lies over the panels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Overlay {
    /// Every key.
    Help {
        /// The first line shown.
        top: usize,
    },
    /// A command by its name.
    Palette(Palette),
    /// Some things of which one is taken.
    Menu(Menu),
}

/// The palette.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Palette {
    /// The panel it was opened from.
    pub(crate) panel: Place,
    /// What is typed.
    pub(crate) input: TextInput,
    /// Which of those found is marked.
    pub(crate) chosen: usize,
}

impl Palette {
    /// The commands whose names have all the words typed, in the order of the help.
    pub(crate) fn found(&self) -> Vec<&'static Binding> {
        let text = self.input.text().to_lowercase();
        let fits = |binding: &&Binding| {
            text.split_whitespace()
                .all(|word| binding.help.to_lowercase().contains(word))
        };
        keymap::commands(self.panel).into_iter().filter(fits).collect()
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// As what a user is to be shown while present.
    Status(UserId),
    /// Whether to end a user's sessions.
    Kick(UserId),
    /// Whether to forget a user.
    Forget(UserId),
    /// As what to write the table.
    ExportUsers,
    /// As what to write the stream.
    ExportChanges,
}

/// What is taken from a menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Nothing is done.
    No,
    /// It is done.
    Yes,
    /// As this.
    Status(CustomStatus),
    /// As this.
    Format(ExportFormat),
}

/// A menu, or a question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Menu {
    /// What is asked.
    pub(crate) ask: Ask,
    /// Which entry is marked.
    pub(crate) chosen: usize,
    /// Which entry is as it is now, if that is known.
    pub(crate) present: Option<usize>,
}

impl Menu {
    /// Nothing that hurts is marked first.
    pub(crate) const fn new(ask: Ask) -> Self {
        Self {
            ask,
            chosen: 0,
            present: None,
        }
    }

    /// The same where this is chosen now, if that is known: it is marked first, so that taking it at once changes nothing.
    pub(crate) fn with_present(mut self, choice: Option<Choice>) -> Self {
        self.present = self.entries().iter().position(|(entry, _)| Some(*entry) == choice);
        self.chosen = self.present.unwrap_or(self.chosen);
        self
    }

    /// Whether it is answered by yes or no.
    pub(crate) const fn is_question(&self) -> bool {
        matches!(self.ask, Ask::Kick(_) | Ask::Forget(_))
    }

    /// What there is, in order, as it is written.
    pub(crate) const fn entries(&self) -> &'static [(Choice, &'static str)] {
        match self.ask {
            Ask::Status(_) => &[
                (Choice::Status(CustomStatus::Online), "ONLINE: as the sessions say"),
                (
                    Choice::Status(CustomStatus::Idle),
                    "IDLE: away, whatever the sessions say",
                ),
                (
                    Choice::Status(CustomStatus::DoNotDisturb),
                    "DO_NOT_DISTURB: not to be disturbed",
                ),
            ],
            Ask::Kick(_) => &[
                (Choice::No, "No, leave the user alone"),
                (Choice::Yes, "Yes, end every session: OFFLINE now"),
            ],
            Ask::Forget(_) => &[
                (Choice::No, "No, keep the user"),
                (Choice::Yes, "Yes, forget the user; this can't be undone"),
            ],
            Ask::ExportUsers | Ask::ExportChanges => &[
                (Choice::Format(ExportFormat::Csv), "CSV"),
                (Choice::Format(ExportFormat::Json), "JSON"),
            ],
        }
    }

    /// Whom it is about, as it is: to be escaped.
    pub(crate) const fn user(&self) -> Option<&UserId> {
        match &self.ask {
            Ask::Status(user) | Ask::Kick(user) | Ask::Forget(user) => Some(user),
            Ask::ExportUsers | Ask::ExportChanges => None,
        }
    }

    /// What is asked, without the user.
    pub(crate) const fn title(&self) -> &'static str {
        match self.ask {
            Ask::Status(_) => "Custom status of",
            Ask::Kick(_) => "Kick",
            Ask::Forget(_) => "Forget",
            Ask::ExportUsers => "Write the table into a file",
            Ask::ExportChanges => "Write the stream into a file",
        }
    }
}
