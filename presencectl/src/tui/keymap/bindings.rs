//! The key bindings. A key that is not listed does nothing; all of these are in the help.

use presence::Status;

use super::super::key::{Code, Key};
use super::super::model::user_column::UserColumn;
use super::{Action, Binding, Filter, KeyContext};

const fn bind(context: KeyContext, keys: &'static [Key], action: Action, help: &'static str) -> Binding {
    Binding {
        context,
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
/// In a text input letters are typed, so only the arrow keys move.
const ONLY_UP: &[Key] = &[Key::plain(Code::Up)];
const ONLY_DOWN: &[Key] = &[Key::plain(Code::Down)];
const ERASE: &[Key] = &[Key::plain(Code::Backspace)];
const ERASE_WORD: &[Key] = &[Key::ctrl('w')];
const ERASE_ALL: &[Key] = &[Key::ctrl('u')];

pub(crate) static BINDINGS: &[Binding] = &[
    bind(KeyContext::Always, &[Key::ctrl('c')], Action::Quit, "quit"),
    bind(
        KeyContext::Always,
        &[Key::ctrl('z')],
        Action::Suspend,
        "suspend: back to the shell (resume with fg)",
    ),
    bind(
        KeyContext::Always,
        &[Key::ctrl('l')],
        Action::Repaint,
        "redraw the screen",
    ),
    bind(KeyContext::Anywhere, &[Key::char('q')], Action::Quit, "quit"),
    bind(
        KeyContext::Anywhere,
        &[Key::char('?'), Key::plain(Code::F(1))],
        Action::Help,
        "help: list all keys",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::char(':'), Key::ctrl('p')],
        Action::Palette,
        "commands: open the command palette",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::char('/')],
        Action::Search,
        "search for a user",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::plain(Code::Tab), Key::plain(Code::Right)],
        Action::NextPanel,
        "next panel",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::plain(Code::BackTab), Key::plain(Code::Left)],
        Action::PreviousPanel,
        "previous panel",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::char('z')],
        Action::Zoom,
        "zoom: toggle the panel to full screen",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::char(' ')],
        Action::Pause,
        "pause: freeze or resume the table and the stream",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::char('t')],
        Action::Times,
        "times: relative, absolute or both",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::char('f')],
        Action::NextFilter,
        "filter: next status",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::char('0')],
        Action::Filter(Filter::Present),
        "filter: all present users",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::char('1')],
        Action::Filter(Filter::Only(Status::Online)),
        "filter: ONLINE only",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::char('2')],
        Action::Filter(Filter::Only(Status::Idle)),
        "filter: IDLE only",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::char('3')],
        Action::Filter(Filter::Only(Status::DoNotDisturb)),
        "filter: DO_NOT_DISTURB only",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::char('4')],
        Action::Filter(Filter::Only(Status::Offline)),
        "filter: OFFLINE since the dashboard was opened",
    ),
    bind(
        KeyContext::Anywhere,
        &[Key::char('R')],
        Action::Reconnect,
        "reconnect: retry the connection now",
    ),
    bind(
        KeyContext::Anywhere,
        ESC,
        Action::Back,
        "back: leave zoom, detail, search or selection",
    ),
    bind(KeyContext::Users, UP, Action::Up, "up"),
    bind(KeyContext::Users, DOWN, Action::Down, "down"),
    bind(KeyContext::Users, PAGE_UP, Action::PageUp, "page up"),
    bind(KeyContext::Users, PAGE_DOWN, Action::PageDown, "page down"),
    bind(KeyContext::Users, FIRST, Action::First, "first"),
    bind(KeyContext::Users, LAST, Action::Last, "last"),
    bind(
        KeyContext::Users,
        ENTER,
        Action::Open,
        "explain: why the user has this status",
    ),
    bind(
        KeyContext::Users,
        &[Key::char('s'), Key::char('>')],
        Action::NextSort,
        "sort by the next column",
    ),
    bind(
        KeyContext::Users,
        &[Key::char('S'), Key::char('<')],
        Action::PreviousSort,
        "sort by the previous column",
    ),
    bind(
        KeyContext::Users,
        &[Key::char('r')],
        Action::Reverse,
        "reverse the sort order",
    ),
    bind(KeyContext::Users, &[], Action::Sort(UserColumn::User), "sort by user"),
    bind(
        KeyContext::Users,
        &[],
        Action::Sort(UserColumn::Status),
        "sort by status",
    ),
    bind(
        KeyContext::Users,
        &[],
        Action::Sort(UserColumn::Reason),
        "sort by reason",
    ),
    bind(KeyContext::Users, &[], Action::Sort(UserColumn::Since), "sort by since"),
    bind(
        KeyContext::Users,
        &[],
        Action::Sort(UserColumn::LastActive),
        "sort by last active",
    ),
    bind(
        KeyContext::Users,
        &[],
        Action::Sort(UserColumn::LastSeen),
        "sort by last seen",
    ),
    bind(
        KeyContext::Users,
        &[],
        Action::Sort(UserColumn::Sessions),
        "sort by sessions",
    ),
    bind(KeyContext::Users, &[], Action::Sort(UserColumn::Node), "sort by node"),
    bind(
        KeyContext::Users,
        &[Key::char('c')],
        Action::SetStatus,
        "set status: set the custom status",
    ),
    bind(
        KeyContext::Users,
        &[Key::char('K')],
        Action::Kick,
        "kick: end all sessions of the user",
    ),
    bind(
        KeyContext::Users,
        &[Key::char('F')],
        Action::Forget,
        "forget: delete the user",
    ),
    bind(
        KeyContext::Users,
        &[Key::char('y')],
        Action::Copy,
        "copy id: copy the user id to the clipboard",
    ),
    bind(
        KeyContext::Users,
        &[Key::char('x')],
        Action::Export,
        "export: write the listed users to a file",
    ),
    bind(KeyContext::ChangeLog, UP, Action::Up, "scroll back"),
    bind(KeyContext::ChangeLog, DOWN, Action::Down, "scroll forward"),
    bind(KeyContext::ChangeLog, PAGE_UP, Action::PageUp, "page back"),
    bind(KeyContext::ChangeLog, PAGE_DOWN, Action::PageDown, "page forward"),
    bind(KeyContext::ChangeLog, FIRST, Action::First, "oldest change"),
    bind(
        KeyContext::ChangeLog,
        LAST,
        Action::Last,
        "newest change: follow the stream",
    ),
    bind(
        KeyContext::ChangeLog,
        &[Key::char('x')],
        Action::Export,
        "export: write the stream to a file",
    ),
    bind(KeyContext::Detail, UP, Action::Up, "scroll up"),
    bind(KeyContext::Detail, DOWN, Action::Down, "scroll down"),
    bind(KeyContext::Detail, PAGE_UP, Action::PageUp, "page up"),
    bind(KeyContext::Detail, PAGE_DOWN, Action::PageDown, "page down"),
    bind(KeyContext::Detail, FIRST, Action::First, "to the first line"),
    bind(KeyContext::Detail, LAST, Action::Last, "to the last line"),
    bind(
        KeyContext::Detail,
        &[Key::char('c')],
        Action::SetStatus,
        "set status: set the custom status",
    ),
    bind(
        KeyContext::Detail,
        &[Key::char('K')],
        Action::Kick,
        "kick: end all sessions of the user",
    ),
    bind(
        KeyContext::Detail,
        &[Key::char('F')],
        Action::Forget,
        "forget: delete the user",
    ),
    bind(
        KeyContext::Detail,
        &[Key::char('y')],
        Action::Copy,
        "copy id: copy the user id to the clipboard",
    ),
    bind(
        KeyContext::Search,
        ENTER,
        Action::Accept,
        "select the best match, or look up this exact id",
    ),
    bind(
        KeyContext::Search,
        &[Key::plain(Code::Tab)],
        Action::Exactly,
        "look up this exact id",
    ),
    bind(
        KeyContext::Search,
        ESC,
        Action::Cancel,
        "leave the search and show all users",
    ),
    bind(KeyContext::Search, ONLY_UP, Action::Up, "up"),
    bind(KeyContext::Search, ONLY_DOWN, Action::Down, "down"),
    bind(KeyContext::Search, ERASE, Action::Erase, "erase a character"),
    bind(KeyContext::Search, ERASE_WORD, Action::EraseWord, "erase a word"),
    bind(KeyContext::Search, ERASE_ALL, Action::EraseAll, "erase all"),
    bind(KeyContext::Palette, ENTER, Action::Accept, "run the command"),
    bind(KeyContext::Palette, ESC, Action::Cancel, "close"),
    bind(KeyContext::Palette, ONLY_UP, Action::Up, "up"),
    bind(KeyContext::Palette, ONLY_DOWN, Action::Down, "down"),
    bind(KeyContext::Palette, ERASE, Action::Erase, "erase a character"),
    bind(KeyContext::Palette, ERASE_WORD, Action::EraseWord, "erase a word"),
    bind(KeyContext::Palette, ERASE_ALL, Action::EraseAll, "erase all"),
    bind(KeyContext::Menu, ENTER, Action::Accept, "confirm the highlighted item"),
    bind(
        KeyContext::Menu,
        &[Key::plain(Code::Esc), Key::char('n'), Key::char('q')],
        Action::Cancel,
        "cancel",
    ),
    bind(KeyContext::Menu, &[Key::char('y')], Action::Yes, "yes"),
    bind(KeyContext::Menu, UP, Action::Up, "up"),
    bind(KeyContext::Menu, DOWN, Action::Down, "down"),
    bind(KeyContext::Menu, &[Key::char('1')], Action::Choose(1), "first item"),
    bind(KeyContext::Menu, &[Key::char('2')], Action::Choose(2), "second item"),
    bind(KeyContext::Menu, &[Key::char('3')], Action::Choose(3), "third item"),
    bind(
        KeyContext::Help,
        &[
            Key::plain(Code::Esc),
            Key::char('q'),
            Key::char('?'),
            Key::plain(Code::F(1)),
        ],
        Action::Cancel,
        "close",
    ),
    bind(KeyContext::Help, UP, Action::Up, "up"),
    bind(KeyContext::Help, DOWN, Action::Down, "down"),
    bind(KeyContext::Help, PAGE_UP, Action::PageUp, "page up"),
    bind(KeyContext::Help, PAGE_DOWN, Action::PageDown, "page down"),
    bind(KeyContext::Help, FIRST, Action::First, "to the first line"),
    bind(KeyContext::Help, LAST, Action::Last, "to the last line"),
];
