//! The one table of keys: what each does, where, and how help and the palette call it. Keys are looked up here and nowhere
//! else, and help and palette are made from it, so none of the three can differ.

use super::key::{Code, Key};
use super::model::column::Column;

/// Where a key is pressed. An overlay takes all keys; else the panel with the focus comes first, then `Anywhere`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In every panel, while nothing lies over them.
    Anywhere,
    /// The table of users.
    Users,
    /// The stream of changes.
    Stream,
    /// The explanation of one user.
    Detail,
    /// The line in which one searches. Characters that are no key of it are typed.
    Search,
    /// The command palette. Characters that are no key of it are typed.
    Palette,
    /// A menu of things to choose from, or a question.
    Menu,
    /// The help.
    Help,
}

impl Place {
    /// Every place, in the order of the help.
    pub(crate) const ALL: [Self; 8] = [
        Self::Anywhere,
        Self::Users,
        Self::Stream,
        Self::Detail,
        Self::Search,
        Self::Palette,
        Self::Menu,
        Self::Help,
    ];

    /// As help calls it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Anywhere => "Everywhere",
            Self::Users => "Users",
            Self::Stream => "Stream",
            Self::Detail => "Detail",
            Self::Search => "While searching",
            Self::Palette => "In the palette",
            Self::Menu => "In a menu or a question",
            Self::Help => "In this help",
        }
    }

    /// Whether characters without a meaning of their own are text there.
    pub(crate) const fn takes_text(self) -> bool {
        matches!(self, Self::Search | Self::Palette)
    }
}

/// Which users are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) enum Filter {
    /// Whoever is present.
    #[default]
    Present,
    /// Shown as this.
    Only(presence::Status),
}

/// Everything an operator can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Action {
    Quit,
    Suspend,
    Help,
    Palette,
    NextPanel,
    PreviousPanel,
    Zoom,
    Pause,
    Times,
    Repaint,
    Reconnect,
    Back,
    Search,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Filter(Filter),
    NextFilter,
    NextSort,
    PreviousSort,
    Reverse,
    Sort(Column),
    SetStatus,
    Kick,
    Forget,
    Copy,
    Export,
    /// In a line of text, or a menu.
    Accept,
    Cancel,
    Erase,
    EraseWord,
    EraseAll,
}

/// One row: these keys, there, do that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    /// Where.
    pub(crate) place: Place,
    /// Any of these; none: in the palette only.
    pub(crate) keys: &'static [Key],
    /// What.
    pub(crate) action: Action,
    /// As help and palette call it.
    pub(crate) help: &'static str,
}
