//! What lies over the panels and takes the keys: help, the palette, menus, questions. Only what is highlighted; nothing is done here.

use presence::{CustomStatus, UserId};

use super::super::effect::ExportFormat;
use super::super::keymap::{self, Binding, KeyContext};
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
    pub(crate) panel: KeyContext,
    /// What is typed.
    pub(crate) input: TextInput,
    /// Which of those found is marked.
    pub(crate) highlighted: usize,
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
pub(crate) enum Prompt {
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
pub(crate) enum MenuItem {
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
    pub(crate) prompt: Prompt,
    /// Which entry is marked.
    pub(crate) highlighted: usize,
    /// Which entry is as it is now, if that is known.
    pub(crate) current: Option<usize>,
}

impl Menu {
    /// Nothing that hurts is marked first.
    pub(crate) const fn new(prompt: Prompt) -> Self {
        Self {
            prompt,
            highlighted: 0,
            current: None,
        }
    }

    /// The same where this is highlighted now, if that is known: it is marked first, so that taking it at once changes nothing.
    pub(crate) fn with_current(mut self, item: Option<MenuItem>) -> Self {
        self.current = self.entries().iter().position(|(entry, _)| Some(*entry) == item);
        self.highlighted = self.current.unwrap_or(self.highlighted);
        self
    }

    /// Whether it is answered by yes or no.
    pub(crate) const fn is_question(&self) -> bool {
        matches!(self.prompt, Prompt::Kick(_) | Prompt::Forget(_))
    }

    /// What there is, in order, as it is written.
    pub(crate) const fn entries(&self) -> &'static [(MenuItem, &'static str)] {
        match self.prompt {
            Prompt::Status(_) => &[
                (MenuItem::Status(CustomStatus::Online), "ONLINE: as the sessions say"),
                (
                    MenuItem::Status(CustomStatus::Idle),
                    "IDLE: away, whatever the sessions say",
                ),
                (
                    MenuItem::Status(CustomStatus::DoNotDisturb),
                    "DO_NOT_DISTURB: not to be disturbed",
                ),
            ],
            Prompt::Kick(_) => &[
                (MenuItem::No, "No, leave the user alone"),
                (MenuItem::Yes, "Yes, end every session: OFFLINE now"),
            ],
            Prompt::Forget(_) => &[
                (MenuItem::No, "No, keep the user"),
                (MenuItem::Yes, "Yes, forget the user; this can't be undone"),
            ],
            Prompt::ExportUsers | Prompt::ExportChanges => &[
                (MenuItem::Format(ExportFormat::Csv), "CSV"),
                (MenuItem::Format(ExportFormat::Json), "JSON"),
            ],
        }
    }

    /// Whom it is about, as it is: to be escaped.
    pub(crate) const fn user(&self) -> Option<&UserId> {
        match &self.prompt {
            Prompt::Status(user) | Prompt::Kick(user) | Prompt::Forget(user) => Some(user),
            Prompt::ExportUsers | Prompt::ExportChanges => None,
        }
    }

    /// What is asked, without the user.
    pub(crate) const fn title(&self) -> &'static str {
        match self.prompt {
            Prompt::Status(_) => "Custom status of",
            Prompt::Kick(_) => "Kick",
            Prompt::Forget(_) => "Forget",
            Prompt::ExportUsers => "Write the table into a file",
            Prompt::ExportChanges => "Write the stream into a file",
        }
    }
}
