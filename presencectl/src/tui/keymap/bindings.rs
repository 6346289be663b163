//! The table itself. A key that is not here does nothing; what is here is in the help.

use presence::Status;

use super::super::key::{Code, Key};
use super::super::model::user_column::UserColumn;
use super::{Action, Binding, Filter, Place};

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
        "suspend: to the shell for a while (fg returns)",
    ),
    bind(Place::Always, &[Key::ctrl('l')], Action::Repaint, "redraw the screen"),
    bind(Place::Anywhere, &[Key::char('q')], Action::Quit, "quit"),
    bind(
        Place::Anywhere,
        &[Key::char('?'), Key::plain(Code::F(1))],
        Action::Help,
        "help: every key",
    ),
    bind(
        Place::Anywhere,
        &[Key::char(':'), Key::ctrl('p')],
        Action::Palette,
        "commands: find one by its name",
    ),
    bind(Place::Anywhere, &[Key::char('/')], Action::Search, "search a user"),
    bind(
        Place::Anywhere,
        &[Key::plain(Code::Tab), Key::plain(Code::Right)],
        Action::NextPanel,
        "next panel",
    ),
    bind(
        Place::Anywhere,
        &[Key::plain(Code::BackTab), Key::plain(Code::Left)],
        Action::PreviousPanel,
        "previous panel",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('z')],
        Action::Zoom,
        "zoom: the panel as large as the screen, and back",
    ),
    bind(
        Place::Anywhere,
        &[Key::char(' ')],
        Action::Pause,
        "pause: hold the table and the stream still; go on",
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
        "filter: the next status",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('0')],
        Action::Filter(Filter::Present),
        "filter: whoever is present",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('1')],
        Action::Filter(Filter::Only(Status::Online)),
        "filter: only ONLINE",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('2')],
        Action::Filter(Filter::Only(Status::Idle)),
        "filter: only IDLE",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('3')],
        Action::Filter(Filter::Only(Status::DoNotDisturb)),
        "filter: only DO_NOT_DISTURB",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('4')],
        Action::Filter(Filter::Only(Status::Offline)),
        "filter: who went OFFLINE since this was opened",
    ),
    bind(
        Place::Anywhere,
        &[Key::char('R')],
        Action::Reconnect,
        "reconnect: try to reach the daemon now",
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
    bind(Place::Users, &[], Action::Sort(UserColumn::User), "sort by user"),
    bind(Place::Users, &[], Action::Sort(UserColumn::Status), "sort by status"),
    bind(Place::Users, &[], Action::Sort(UserColumn::Why), "sort by reason"),
    bind(
        Place::Users,
        &[],
        Action::Sort(UserColumn::Since),
        "sort by since when the status holds",
    ),
    bind(
        Place::Users,
        &[],
        Action::Sort(UserColumn::LastActive),
        "sort by last active",
    ),
    bind(
        Place::Users,
        &[],
        Action::Sort(UserColumn::LastSeen),
        "sort by last seen",
    ),
    bind(
        Place::Users,
        &[],
        Action::Sort(UserColumn::Sessions),
        "sort by sessions",
    ),
    bind(Place::Users, &[], Action::Sort(UserColumn::Node), "sort by node"),
    bind(
        Place::Users,
        &[Key::char('c')],
        Action::SetStatus,
        "set status: the user's custom status",
    ),
    bind(
        Place::Users,
        &[Key::char('K')],
        Action::Kick,
        "kick: end every session of the user",
    ),
    bind(
        Place::Users,
        &[Key::char('F')],
        Action::Forget,
        "forget the user and everything known of it",
    ),
    bind(Place::Users, &[Key::char('y')], Action::Copy, "copy the user's id"),
    bind(
        Place::Users,
        &[Key::char('x')],
        Action::Export,
        "export: write what is listed into a file",
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
        "export: write the stream into a file",
    ),
    bind(Place::Detail, UP, Action::Up, "scroll up"),
    bind(Place::Detail, DOWN, Action::Down, "scroll down"),
    bind(Place::Detail, PAGE_UP, Action::PageUp, "a page up"),
    bind(Place::Detail, PAGE_DOWN, Action::PageDown, "a page down"),
    bind(Place::Detail, FIRST, Action::First, "to the first line"),
    bind(Place::Detail, LAST, Action::Last, "to the last line"),
    bind(
        Place::Detail,
        &[Key::char('c')],
        Action::SetStatus,
        "set status: the user's custom status",
    ),
    bind(
        Place::Detail,
        &[Key::char('K')],
        Action::Kick,
        "kick: end every session of the user",
    ),
    bind(
        Place::Detail,
        &[Key::char('F')],
        Action::Forget,
        "forget the user and everything known of it",
    ),
    bind(Place::Detail, &[Key::char('y')], Action::Copy, "copy the user's id"),
    bind(
        Place::Search,
        ENTER,
        Action::Accept,
        "keep what was found, else ask for exactly this id",
    ),
    bind(
        Place::Search,
        &[Key::plain(Code::Tab)],
        Action::Exactly,
        "ask for exactly this id, whoever else was found",
    ),
    bind(Place::Search, ESC, Action::Cancel, "leave, and show everyone again"),
    bind(Place::Search, ONLY_UP, Action::Up, "up"),
    bind(Place::Search, ONLY_DOWN, Action::Down, "down"),
    bind(Place::Search, ERASE, Action::Erase, "erase a character"),
    bind(Place::Search, ERASE_WORD, Action::EraseWord, "erase a word"),
    bind(Place::Search, ERASE_ALL, Action::EraseAll, "erase all"),
    bind(Place::Palette, ENTER, Action::Accept, "run it"),
    bind(Place::Palette, ESC, Action::Cancel, "close"),
    bind(Place::Palette, ONLY_UP, Action::Up, "up"),
    bind(Place::Palette, ONLY_DOWN, Action::Down, "down"),
    bind(Place::Palette, ERASE, Action::Erase, "erase a character"),
    bind(Place::Palette, ERASE_WORD, Action::EraseWord, "erase a word"),
    bind(Place::Palette, ERASE_ALL, Action::EraseAll, "erase all"),
    bind(Place::Menu, ENTER, Action::Accept, "choose what is marked"),
    bind(
        Place::Menu,
        &[Key::plain(Code::Esc), Key::char('n'), Key::char('q')],
        Action::Cancel,
        "cancel; no",
    ),
    bind(Place::Menu, &[Key::char('y')], Action::Yes, "yes"),
    bind(Place::Menu, UP, Action::Up, "up"),
    bind(Place::Menu, DOWN, Action::Down, "down"),
    bind(Place::Menu, &[Key::char('1')], Action::Choose(1), "choose the first"),
    bind(Place::Menu, &[Key::char('2')], Action::Choose(2), "choose the second"),
    bind(Place::Menu, &[Key::char('3')], Action::Choose(3), "choose the third"),
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
    bind(Place::Help, FIRST, Action::First, "to the first line"),
    bind(Place::Help, LAST, Action::Last, "to the last line"),
];
