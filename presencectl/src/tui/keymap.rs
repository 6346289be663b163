//! The one table of keys: what each does, where, and how help and the palette call it. Keys are looked up here and nowhere
//! else, and help and palette are made from it, so none of the three can differ.

use presence::Status;

use super::key::{Code, Key};
use super::model::column::Column;

/// Where a key is pressed. An overlay takes all keys; else the panel with the focus comes first, then `Anywhere`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Whatever is on the screen.
    Always,
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
    pub(crate) const ALL: [Self; 9] = [
        Self::Always,
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
            Self::Always => "Whatever is on the screen",
            Self::Anywhere => "In every panel",
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
    /// One step back: out of a zoom, a detail, a search, a selection.
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
    /// Open what is selected.
    Open,
    NextSort,
    PreviousSort,
    Reverse,
    Sort(Column),
    SetStatus,
    Kick,
    Forget,
    Copy,
    Export,
    /// Of a line of text or a menu: take it.
    Accept,
    /// Of a line of text, a menu or the help: leave it.
    Cancel,
    /// Of a question: yes.
    Yes,
    /// Of a menu: the one with this number, from 1.
    Choose(u8),
    Erase,
    EraseWord,
    EraseAll,
}

/// One row: these keys, there, do that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    /// Where.
    pub(crate) place: Place,
    /// Any of these; none: it is in the palette only.
    pub(crate) keys: &'static [Key],
    /// What.
    pub(crate) action: Action,
    /// As help and palette call it.
    pub(crate) help: &'static str,
}

const fn bind(place: Place, keys: &'static [Key], action: Action, help: &'static str) -> Binding {
    Binding {
        place,
        keys,
        action,
        help,
    }
}

const UP: &[Key] = &[Key::plain(Code::Up), Key::char('k')];
const DOWN: &[Key] = &[Key::plain(Code::Down), Key::char('j')];
const FIRST: &[Key] = &[Key::plain(Code::Home), Key::char('g')];
const LAST: &[Key] = &[Key::plain(Code::End), Key::char('G')];
const PAGE_UP: &[Key] = &[Key::plain(Code::PageUp)];
const PAGE_DOWN: &[Key] = &[Key::plain(Code::PageDown)];
const ENTER: &[Key] = &[Key::plain(Code::Enter)];
const ESC: &[Key] = &[Key::plain(Code::Esc)];
/// In a line of text letters are typed, so only the arrows move.
const ONLY_UP: &[Key] = &[Key::plain(Code::Up)];
const ONLY_DOWN: &[Key] = &[Key::plain(Code::Down)];
const ERASE: &[Key] = &[Key::plain(Code::Backspace)];
const ERASE_WORD: &[Key] = &[Key::ctrl('w')];
const ERASE_ALL: &[Key] = &[Key::ctrl('u')];

/// Every key.
pub(crate) static BINDINGS: &[Binding] = &[
    bind(Place::Always, &[Key::ctrl('c')], Action::Quit, "quit"),
    bind(
        Place::Always,
        &[Key::ctrl('z')],
        Action::Suspend,
        "back to the shell for a while (fg returns)",
    ),
    bind(
        Place::Always,
        &[Key::ctrl('l')],
        Action::Repaint,
        "draw the screen anew",
    ),
    bind(Place::Anywhere, &[Key::char('q')], Action::Quit, "quit"),
    bind(
        Place::Anywhere,
        &[Key::char('?'), Key::plain(Code::F(1))],
        Action::Help,
        "this help",
    ),
    bind(
        Place::Anywhere,
        &[Key::char(':'), Key::ctrl('p')],
        Action::Palette,
        "find a command by its name",
    ),
    bind(Place::Anywhere, &[Key::char('/')], Action::Search, "search a user"),
    bind(
        Place::Anywhere,
        &[Key::plain(Code::Tab)],
        Action::NextPanel,
        "next panel",
    ),
    bind(
        Place::Anywhere,
        &[Key::plain(Code::BackTab)],
        Action::PreviousPanel,
        "previous panel",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('z')],
        Action::Zoom,
        "the panel as large as the screen, and back",
    ),
    bind(
        Place::Anywhere,
        &[Key::char(' ')],
        Action::Pause,
        "hold the table and the stream still, and go on",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('t')],
        Action::Times,
        "times: how long ago, when, or both",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('f')],
        Action::NextFilter,
        "show the next status only",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('0')],
        Action::Filter(Filter::Present),
        "show whoever is present",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('1')],
        Action::Filter(Filter::Only(Status::Online)),
        "show only ONLINE",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('2')],
        Action::Filter(Filter::Only(Status::Idle)),
        "show only IDLE",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('3')],
        Action::Filter(Filter::Only(Status::DoNotDisturb)),
        "show only DO_NOT_DISTURB",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('4')],
        Action::Filter(Filter::Only(Status::Offline)),
        "show who went OFFLINE since this was opened",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('R')],
        Action::Reconnect,
        "try to reach the daemon now",
    ),
    bind(
        Place::Anywhere,
        ESC,
        Action::Back,
        "one step back: zoom, detail, search, selection",
    ),
    bind(Place::Users, UP, Action::Up, "up"),
    bind(Place::Users, DOWN, Action::Down, "down"),
    bind(Place::Users, PAGE_UP, Action::PageUp, "a page up"),
    bind(Place::Users, PAGE_DOWN, Action::PageDown, "a page down"),
    bind(Place::Users, FIRST, Action::First, "to the first"),
    bind(Place::Users, LAST, Action::Last, "to the last"),
    bind(Place::Users, ENTER, Action::Open, "explain: why is this user shown so"),
    bind(
        Place::Users,
        &[Key::char('s'), Key::char('>')],
        Action::NextSort,
        "sort by the next column",
    ),
    bind(
        Place::Users,
        &[Key::char('S'), Key::char('<')],
        Action::PreviousSort,
        "sort by the previous column",
    ),
    bind(
        Place::Users,
        &[Key::char('r')],
        Action::Reverse,
        "sort the other way round",
    ),
    bind(Place::Users, &[], Action::Sort(Column::User), "sort by user"),
    bind(Place::Users, &[], Action::Sort(Column::Status), "sort by status"),
    bind(Place::Users, &[], Action::Sort(Column::Why), "sort by reason"),
    bind(
        Place::Users,
        &[],
        Action::Sort(Column::Since),
        "sort by since when the status holds",
    ),
    bind(
        Place::Users,
        &[],
        Action::Sort(Column::LastActive),
        "sort by last active",
    ),
    bind(Place::Users, &[], Action::Sort(Column::LastSeen), "sort by last seen"),
    bind(Place::Users, &[], Action::Sort(Column::Sessions), "sort by sessions"),
    bind(Place::Users, &[], Action::Sort(Column::Node), "sort by node"),
    bind(
        Place::Users,
        &[Key::char('c')],
        Action::SetStatus,
        "set the user's custom status",
    ),
    bind(
        Place::Users,
        &[Key::char('K')],
        Action::Kick,
        "kick: end every session of the user",
    ),
    bind(Place::Users, &[Key::char('F')], Action::Forget, "forget the user"),
    bind(Place::Users, &[Key::char('y')], Action::Copy, "copy the user's id"),
    bind(
        Place::Users,
        &[Key::char('x')],
        Action::Export,
        "write what is shown into a file",
    ),
    bind(Place::Stream, UP, Action::Up, "back in time"),
    bind(Place::Stream, DOWN, Action::Down, "forward"),
    bind(Place::Stream, PAGE_UP, Action::PageUp, "a page back"),
    bind(Place::Stream, PAGE_DOWN, Action::PageDown, "a page forward"),
    bind(Place::Stream, FIRST, Action::First, "to the oldest change that is kept"),
    bind(Place::Stream, LAST, Action::Last, "follow what is new"),
    bind(
        Place::Stream,
        &[Key::char('x')],
        Action::Export,
        "write the stream into a file",
    ),
    bind(Place::Detail, UP, Action::Up, "scroll up"),
    bind(Place::Detail, DOWN, Action::Down, "scroll down"),
    bind(
        Place::Detail,
        &[Key::char('c')],
        Action::SetStatus,
        "set the user's custom status",
    ),
    bind(
        Place::Detail,
        &[Key::char('K')],
        Action::Kick,
        "kick: end every session of the user",
    ),
    bind(Place::Detail, &[Key::char('F')], Action::Forget, "forget the user"),
    bind(Place::Detail, &[Key::char('y')], Action::Copy, "copy the user's id"),
    bind(
        Place::Search,
        ENTER,
        Action::Accept,
        "keep what was found; nobody found: ask for exactly this id",
    ),
    bind(Place::Search, ESC, Action::Cancel, "leave, and show everyone again"),
    bind(Place::Search, ONLY_UP, Action::Up, "up"),
    bind(Place::Search, ONLY_DOWN, Action::Down, "down"),
    bind(Place::Search, ERASE, Action::Erase, "erase a character"),
    bind(Place::Search, ERASE_WORD, Action::EraseWord, "erase a word"),
    bind(Place::Search, ERASE_ALL, Action::EraseAll, "erase all"),
    bind(Place::Palette, ENTER, Action::Accept, "do it"),
    bind(Place::Palette, ESC, Action::Cancel, "leave"),
    bind(Place::Palette, ONLY_UP, Action::Up, "up"),
    bind(Place::Palette, ONLY_DOWN, Action::Down, "down"),
    bind(Place::Palette, ERASE, Action::Erase, "erase a character"),
    bind(Place::Palette, ERASE_WORD, Action::EraseWord, "erase a word"),
    bind(Place::Palette, ERASE_ALL, Action::EraseAll, "erase all"),
    bind(Place::Menu, ENTER, Action::Accept, "take what is marked"),
    bind(
        Place::Menu,
        &[Key::plain(Code::Esc), Key::char('n'), Key::char('q')],
        Action::Cancel,
        "leave; no",
    ),
    bind(Place::Menu, &[Key::char('y')], Action::Yes, "yes"),
    bind(Place::Menu, UP, Action::Up, "up"),
    bind(Place::Menu, DOWN, Action::Down, "down"),
    bind(Place::Menu, &[Key::char('1')], Action::Choose(1), "take the first"),
    bind(Place::Menu, &[Key::char('2')], Action::Choose(2), "take the second"),
    bind(Place::Menu, &[Key::char('3')], Action::Choose(3), "take the third"),
    bind(
        Place::Help,
        &[
            Key::plain(Code::Esc),
            Key::char('q'),
            Key::char('?'),
            Key::plain(Code::F(1)),
        ],
        Action::Cancel,
        "close",
    ),
    bind(Place::Help, UP, Action::Up, "up"),
    bind(Place::Help, DOWN, Action::Down, "down"),
    bind(Place::Help, PAGE_UP, Action::PageUp, "a page up"),
    bind(Place::Help, PAGE_DOWN, Action::PageDown, "a page down"),
];

/// What a key does in a place; none if nothing.
pub(crate) fn action(place: Place, key: Key) -> Option<Action> {
    let panels = [Place::Users, Place::Stream, Place::Detail].contains(&place);
    let places = [Some(Place::Always), Some(place), panels.then_some(Place::Anywhere)];
    places.into_iter().flatten().find_map(|place| {
        BINDINGS
            .iter()
            .find(|binding| binding.place == place && binding.keys.contains(&key))
            .map(|binding| binding.action)
    })
}

/// The first key of an action in a place, for hints.
pub(crate) fn key_of(place: Place, action: Action) -> Option<Key> {
    let in_place = |wanted: Place| {
        BINDINGS
            .iter()
            .find(|binding| binding.place == wanted && binding.action == action)
            .and_then(|binding| binding.keys.first().copied())
    };
    in_place(place)
        .or_else(|| in_place(Place::Anywhere))
        .or_else(|| in_place(Place::Always))
}

/// What the palette offers while this panel has the focus: each action once, with the place it is done in.
pub(crate) fn commands(panel: Place) -> Vec<&'static Binding> {
    let is_offered = |binding: &&Binding| match binding.place {
        Place::Always | Place::Anywhere => binding.action != Action::Palette && binding.action != Action::Back,
        place => place == panel && !is_motion(binding.action),
    };
    let mut offered: Vec<&Binding> = Vec::new();
    for binding in BINDINGS.iter().filter(is_offered) {
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

    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        let mut seen = HashSet::new();
        for binding in BINDINGS {
            for key in binding.keys {
                assert!(seen.insert((binding.place, *key)), "{:?} {key}", binding.place);
                let is_always = binding.place != Place::Always && action(Place::Always, *key).is_some();
                assert!(!is_always, "{key} never gets to {:?}", binding.place);
            }
        }
    }

    #[test]
    fn where_text_is_typed_no_letter_is_a_command() {
        for binding in BINDINGS.iter().filter(|binding| binding.place.takes_text()) {
            for key in binding.keys {
                assert!(!matches!(key.code, Code::Char(_)) || key.ctrl, "{key}");
            }
        }
    }

    #[test]
    fn the_palette_offers_everything_that_can_be_done_in_a_panel_once() {
        for panel in [Place::Users, Place::Stream, Place::Detail] {
            let offered = commands(panel);
            let actions: HashSet<_> = offered.iter().map(|binding| binding.action).collect();
            assert_eq!(actions.len(), offered.len());
            assert!(actions.contains(&Action::Quit) && actions.contains(&Action::Search));
        }
        assert!(
            commands(Place::Users)
                .iter()
                .any(|binding| binding.action == Action::Sort(Column::Node))
        );
    }
}
