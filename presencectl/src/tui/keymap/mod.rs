//! The keymap: which key does what in which context, with the texts for the help and the command palette. Both are
//! generated from it.

mod bindings;

pub(crate) use bindings::BINDINGS;
use presence::Status;

use super::key::Key;
use super::model::user_column::UserColumn;

/// Where a key is pressed. An overlay takes all keys; else the focused panel has precedence over `Anywhere`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum KeyContext {
    /// In every context.
    Always,
    /// In every panel, unless an overlay is open.
    Anywhere,
    /// The table of users.
    Users,
    /// The panel titled "Stream".
    ChangeLog,
    /// The explanation of one user.
    Detail,
    /// The search input. Unbound characters are typed.
    Search,
    /// The command palette. Unbound characters are typed.
    Palette,
    /// A menu, or a confirmation.
    Menu,
    Help,
}

impl KeyContext {
    /// In the order of the help.
    pub(crate) const ALL: [Self; 9] = [
        Self::Always,
        Self::Anywhere,
        Self::Users,
        Self::ChangeLog,
        Self::Detail,
        Self::Search,
        Self::Palette,
        Self::Menu,
        Self::Help,
    ];

    /// The title in the help.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Always => "Everywhere",
            Self::Anywhere => "In all panels",
            Self::Users => "Users",
            Self::ChangeLog => "Stream",
            Self::Detail => "Detail",
            Self::Search => "In the search",
            Self::Palette => "In the command palette",
            Self::Menu => "In a menu or confirmation",
            Self::Help => "In the help",
        }
    }

    #[cfg(test)]
    /// Whether unbound characters are typed.
    pub(crate) const fn takes_text(self) -> bool {
        matches!(self, Self::Search | Self::Palette)
    }
}

/// Which users are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) enum Filter {
    /// All present users.
    #[default]
    Present,
    /// Users with this status.
    Only(Status),
}

/// Everything an operator can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Action {
    Quit,
    Suspend,
    Repaint,
    Help,
    Palette,
    NextPanel,
    PreviousPanel,
    Zoom,
    Pause,
    Times,
    Reconnect,
    /// One step back: out of zoom, detail, search or selection.
    Back,
    Search,
    NextFilter,
    Filter(Filter),
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    /// Open the selected user.
    Open,
    NextSort,
    PreviousSort,
    Reverse,
    Sort(UserColumn),
    SetStatus,
    Kick,
    Forget,
    Copy,
    Export,
    /// Confirm a text input or a menu.
    Accept,
    /// In a search: look up exactly the id that was typed.
    Exactly,
    /// Close a text input, a menu or the help.
    Cancel,
    /// Answer a confirmation with yes.
    Yes,
    /// Take the menu item with this number, from 1.
    Choose(u8),
    Erase,
    EraseWord,
    EraseAll,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    pub(crate) context: KeyContext,
    /// Any of these; empty: in the palette only.
    pub(crate) keys: &'static [Key],
    pub(crate) action: Action,
    /// The text in the help and the palette.
    pub(crate) help: &'static str,
}

/// The action of a key in a context.
pub(crate) fn action(context: KeyContext, key: Key) -> Option<Action> {
    let panels = [KeyContext::Users, KeyContext::ChangeLog, KeyContext::Detail].contains(&context);
    let contexts = [
        Some(KeyContext::Always),
        Some(context),
        panels.then_some(KeyContext::Anywhere),
    ];
    contexts.into_iter().flatten().find_map(|context| {
        BINDINGS
            .iter()
            .find(|binding| binding.context == context && binding.keys.contains(&key))
            .map(|binding| binding.action)
    })
}

/// The first key of an action in a context, for hints.
pub(crate) fn key_of(context: KeyContext, action: Action) -> Option<Key> {
    let bound_in = |wanted: KeyContext| {
        BINDINGS
            .iter()
            .find(|binding| binding.context == wanted && binding.action == action)
            .and_then(|binding| binding.keys.first().copied())
    };
    bound_in(context)
        .or_else(|| bound_in(KeyContext::Anywhere))
        .or_else(|| bound_in(KeyContext::Always))
}

/// The commands of the palette for a panel, each action once. Those of the panel come first, so that the first is never
/// to quit.
pub(crate) fn commands(panel: KeyContext) -> Vec<&'static Binding> {
    let is_offered = |binding: &&Binding| match binding.context {
        KeyContext::Always | KeyContext::Anywhere => {
            binding.action != Action::Palette && binding.action != Action::Back
        }
        context => context == panel && !is_motion(binding.action),
    };
    let mut wanted: Vec<&Binding> = BINDINGS.iter().filter(is_offered).collect();
    wanted.sort_by_key(|binding| match binding.context {
        KeyContext::Always => 2,
        KeyContext::Anywhere => 1,
        _ => 0,
    });
    let mut offered: Vec<&Binding> = Vec::new();
    for binding in wanted {
        if offered.iter().all(|known| known.action != binding.action) {
            offered.push(binding);
        }
    }
    offered
}

const fn is_motion(action: Action) -> bool {
    matches!(
        action,
        Action::Up | Action::Down | Action::PageUp | Action::PageDown | Action::First | Action::Last
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::key::Code;
    use super::*;

    #[test]
    fn no_key_has_two_actions_in_one_context() {
        let mut seen = HashSet::new();
        for binding in BINDINGS {
            for key in binding.keys {
                assert!(seen.insert((binding.context, *key)), "{:?} {key}", binding.context);
                let is_always = binding.context != KeyContext::Always && action(KeyContext::Always, *key).is_some();
                assert!(!is_always, "{key} never gets to {:?}", binding.context);
            }
        }
    }

    #[test]
    fn no_letter_is_bound_in_a_text_input() {
        for binding in BINDINGS.iter().filter(|binding| binding.context.takes_text()) {
            for key in binding.keys {
                assert!(!matches!(key.code, Code::Char(_)) || key.ctrl, "{key}");
            }
        }
    }

    #[test]
    fn the_palette_offers_each_action_of_a_panel_once() {
        for panel in [KeyContext::Users, KeyContext::ChangeLog, KeyContext::Detail] {
            let offered = commands(panel);
            let actions: HashSet<_> = offered.iter().map(|binding| binding.action).collect();
            assert_eq!(actions.len(), offered.len());
            assert!(actions.contains(&Action::Quit) && actions.contains(&Action::Search));
        }
        assert!(
            commands(KeyContext::Users)
                .iter()
                .any(|binding| binding.action == Action::Sort(UserColumn::Node))
        );
    }
}
