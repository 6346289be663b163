//! Overlays: help, the command palette, menus and confirmations, with their state. Their actions are in
//! `update::menus`.

use presence::{CustomStatus, UserId};

use super::super::effect::ExportFormat;
use super::super::keymap::{self, Binding, KeyContext};
use super::text_input::TextInput;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Overlay {
    Help {
        /// The first visible line.
        top: usize,
    },
    Palette(CommandPalette),
    Menu(Menu),
}

/// The command palette.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CommandPalette {
    /// The panel from which it was opened.
    pub(crate) panel: KeyContext,
    pub(crate) input: TextInput,
    /// The index of the highlighted command.
    pub(crate) highlighted: usize,
}

impl CommandPalette {
    /// The commands that contain all typed words, in the order of the help.
    pub(crate) fn matches(&self) -> Vec<&'static Binding> {
        let text = self.input.text().to_lowercase();
        let fits = |binding: &&Binding| {
            text.split_whitespace()
                .all(|word| binding.help.to_lowercase().contains(word))
        };
        keymap::commands(self.panel).into_iter().filter(fits).collect()
    }
}

/// What a menu is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Prompt {
    Status(UserId),
    Kick(UserId),
    Forget(UserId),
    ExportUsers,
    ExportChanges,
}

/// What a menu offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MenuItem {
    No,
    Yes,
    Status(CustomStatus),
    Format(ExportFormat),
}

/// A menu or confirmation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Menu {
    pub(crate) prompt: Prompt,
    /// The index of the highlighted item.
    pub(crate) highlighted: usize,
    /// The index of the current value, if that is known.
    pub(crate) current: Option<usize>,
}

impl Menu {
    /// The first item is highlighted, which is never a destructive one.
    pub(crate) const fn new(prompt: Prompt) -> Self {
        Self {
            prompt,
            highlighted: 0,
            current: None,
        }
    }

    /// Marks the current value and highlights it, so that confirming at once changes nothing.
    pub(crate) fn with_current(mut self, item: Option<MenuItem>) -> Self {
        self.current = self.entries().iter().position(|(entry, _)| Some(*entry) == item);
        self.highlighted = self.current.unwrap_or(self.highlighted);
        self
    }

    pub(crate) const fn is_question(&self) -> bool {
        matches!(self.prompt, Prompt::Kick(_) | Prompt::Forget(_))
    }

    /// The items with their labels, in order.
    pub(crate) const fn entries(&self) -> &'static [(MenuItem, &'static str)] {
        match self.prompt {
            Prompt::Status(_) => &[
                (
                    MenuItem::Status(CustomStatus::Online),
                    "ONLINE: by the activity of the sessions",
                ),
                (MenuItem::Status(CustomStatus::Idle), "IDLE: regardless of activity"),
                (
                    MenuItem::Status(CustomStatus::DoNotDisturb),
                    "DO_NOT_DISTURB: regardless of activity",
                ),
            ],
            Prompt::Kick(_) => &[
                (MenuItem::No, "No, cancel"),
                (MenuItem::Yes, "Yes, end all sessions of the user"),
            ],
            Prompt::Forget(_) => &[
                (MenuItem::No, "No, cancel"),
                (MenuItem::Yes, "Yes, delete the user; this can't be undone"),
            ],
            Prompt::ExportUsers | Prompt::ExportChanges => &[
                (MenuItem::Format(ExportFormat::Csv), "CSV"),
                (MenuItem::Format(ExportFormat::Json), "JSON"),
            ],
        }
    }

    /// The user it is about, not escaped.
    pub(crate) const fn user(&self) -> Option<&UserId> {
        match &self.prompt {
            Prompt::Status(user) | Prompt::Kick(user) | Prompt::Forget(user) => Some(user),
            Prompt::ExportUsers | Prompt::ExportChanges => None,
        }
    }

    /// The title, without the user.
    pub(crate) const fn title(&self) -> &'static str {
        match self.prompt {
            Prompt::Status(_) => "Custom status of",
            Prompt::Kick(_) => "Kick",
            Prompt::Forget(_) => "Forget",
            Prompt::ExportUsers => "Export the users table",
            Prompt::ExportChanges => "Export the stream",
        }
    }
}
