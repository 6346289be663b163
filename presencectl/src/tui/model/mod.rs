//! The state of the dashboard: everything a picture is made from. It knows no drawing library, no terminal, no network and no
//! clock; only `update` changes it.

pub(crate) mod change_log;
pub(crate) mod history;
pub(crate) mod known_users;
mod node_names;
pub(crate) mod overlay;
mod row;
mod search_query;
pub(crate) mod sort_order;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod text_input;
pub(crate) mod user_column;

use std::cell::Cell;
use std::time::Duration;

use presence::wire::record::Record;
use presence::wire::rest::{Explain, Stats};
use presence::{Mono, Now, UserId, Wall};

use super::geometry::Size;
use super::keymap::{self, KeyContext};
use change_log::ChangeLog;
use history::History;
use known_users::KnownUsers;
use overlay::Overlay;
use table::Table;
use text_input::TextInput;

/// For how long a notice stands.
pub(crate) const NOTICE_STANDS: Duration = Duration::from_secs(6);

/// How the daemon is reached.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ConnectionState {
    /// Not yet.
    Connecting,
    /// Connected; the first whole picture is on its way.
    Loading,
    /// All that is shown is as it is.
    Live,
    /// What is shown is as it was.
    Lost {
        /// Since when.
        since: Mono,
        /// Why, for people.
        why: String,
        /// When it is tried again; none while it is being tried.
        retry_at: Option<Mono>,
    },
    /// As lost, and it is not tried again by itself.
    Ended {
        /// Since when.
        since: Mono,
        /// Why, for people.
        why: String,
        /// What to do next, where that is known.
        next: Option<String>,
    },
}

impl ConnectionState {
    /// Since when what is shown is stale; none if it is not.
    pub(crate) const fn stale_since(&self) -> Option<Mono> {
        match self {
            Self::Lost { since, .. } | Self::Ended { since, .. } => Some(*since),
            Self::Connecting | Self::Loading | Self::Live => None,
        }
    }
}

/// The daemon, as it named itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Daemon {
    /// Where it listens.
    pub(crate) server: String,
    /// The node's name.
    pub(crate) node: String,
    /// Its version.
    pub(crate) version: String,
}

/// Which panel has the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Panel {
    /// The table of users.
    #[default]
    Users,
    /// The stream of changes.
    Stream,
    /// The explanation of one user.
    Detail,
}

impl Panel {
    /// Where its keys are.
    pub(crate) const fn key_context(self) -> KeyContext {
        match self {
            Self::Users => KeyContext::Users,
            Self::Stream => KeyContext::Stream,
            Self::Detail => KeyContext::Detail,
        }
    }
}

/// How times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TimeDisplay {
    /// When, and how long ago.
    #[default]
    Both,
    /// How long ago.
    Relative,
    /// When.
    Absolute,
}

/// Why one user is shown as it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Detail {
    /// Who.
    pub(crate) user: UserId,
    /// The last explanation.
    pub(crate) explain: Option<Box<Explain>>,
    /// Why there is no newer one.
    pub(crate) error: Option<String>,
    /// The last record, also of a user who is not listed.
    pub(crate) record: Option<Box<Record>>,
    /// The first line shown.
    pub(crate) top: usize,
    /// How many lines it took when it was drawn last: the one thing that a picture tells the model, because only there it is known how
    /// sentences break.
    pub(crate) drawn_lines: Cell<usize>,
    /// When it was asked for last.
    pub(crate) asked_at: Option<Mono>,
    /// Whether the answer is still to come.
    pub(crate) is_asked: bool,
    /// Something changed since it was asked for.
    pub(crate) is_outdated: bool,
}

impl Detail {
    /// Nothing known yet.
    pub(crate) const fn new(user: UserId) -> Self {
        Self {
            user,
            explain: None,
            error: None,
            record: None,
            top: 0,
            drawn_lines: Cell::new(0),
            asked_at: None,
            is_asked: false,
            is_outdated: true,
        }
    }
}

/// A word to the operator, for a few seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// What; text of users in it is escaped already.
    pub(crate) text: String,
    /// Whether something went wrong.
    pub(crate) is_error: bool,
    /// Until when.
    pub(crate) until: Mono,
}

/// What was asked of the daemon, so that it is not asked twice at once.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct PendingRequests {
    /// Its numbers are to come.
    pub(crate) stats: bool,
    /// Records are to come.
    pub(crate) records: bool,
    /// When records were asked for last.
    pub(crate) records_at: Option<Mono>,
    /// For whom.
    pub(crate) records_of: Vec<UserId>,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) size: Size,
    pub(crate) connection: ConnectionState,
    pub(crate) daemon: Daemon,
    pub(crate) known_users: KnownUsers,
    pub(crate) table: Table,
    pub(crate) change_log: ChangeLog,
    pub(crate) history: History,
    /// The daemon's numbers, as they were last.
    pub(crate) stats: Option<Box<Stats>>,
    /// Why there are no newer ones.
    pub(crate) stats_error: Option<String>,
    /// How long the daemon takes to answer.
    pub(crate) round_trip: Option<Duration>,
    pub(crate) detail: Option<Detail>,
    /// Who is to be selected as soon as there is a picture.
    pub(crate) wanted: Option<UserId>,
    pub(crate) panel: Panel,
    /// The panel with the focus fills the screen.
    pub(crate) is_zoomed: bool,
    /// Table and stream stand still since then.
    pub(crate) paused_since: Option<Mono>,
    /// The line in which one searches, while it is open.
    pub(crate) search: Option<TextInput>,
    pub(crate) overlay: Option<Overlay>,
    pub(crate) notice: Option<Notice>,
    pub(crate) times: TimeDisplay,
    pub(crate) pending: PendingRequests,
    /// This machine's clocks, as they were told last.
    pub(crate) clock: Now,
    /// The server's clock, which goes back for no other daemon than a new one.
    pub(crate) now: Wall,
    /// The server's clock as it was heard last, and when. From there on it is counted by the clock that nobody sets.
    pub(crate) heard: (Wall, Mono),
    /// When the daemon last said anything of what is shown.
    pub(crate) word_at: Mono,
    /// The next word of the server's clock is the first of this connection: it is believed, whatever was shown before.
    pub(crate) is_clock_new: bool,
    /// The second that is being counted.
    pub(crate) second: u64,
    /// Changes that came in it.
    pub(crate) changes: u64,
}

impl Model {
    /// Nothing known yet.
    pub(crate) fn new(size: Size, clock: Now) -> Self {
        Self {
            size,
            connection: ConnectionState::Connecting,
            daemon: Daemon::default(),
            known_users: KnownUsers::default(),
            table: Table::default(),
            change_log: ChangeLog::default(),
            history: History::default(),
            stats: None,
            stats_error: None,
            round_trip: None,
            detail: None,
            wanted: None,
            panel: Panel::default(),
            is_zoomed: false,
            paused_since: None,
            search: None,
            overlay: None,
            notice: None,
            times: TimeDisplay::default(),
            pending: PendingRequests::default(),
            clock,
            now: clock.wall,
            heard: (clock.wall, clock.mono),
            word_at: clock.mono,
            is_clock_new: true,
            second: clock.mono.as_millis() / 1000,
            changes: 0,
        }
    }

    /// Opens on a user.
    #[must_use]
    pub(crate) fn with_user(mut self, user: UserId) -> Self {
        self.wanted = Some(user.clone());
        self.detail = Some(Detail::new(user));
        self
    }

    /// Where keys are looked up.
    pub(crate) const fn key_context(&self) -> KeyContext {
        match (&self.overlay, &self.search) {
            (Some(Overlay::Help { .. }), _) => KeyContext::Help,
            (Some(Overlay::Palette(_)), _) => KeyContext::Palette,
            (Some(Overlay::Menu(_)), _) => KeyContext::Menu,
            (None, Some(_)) => KeyContext::Search,
            (None, None) => self.panel.key_context(),
        }
    }

    /// Whom an action is about: the user explained, or the one selected.
    pub(crate) fn subject(&self) -> Option<&UserId> {
        match (self.panel, &self.detail) {
            (Panel::Detail, Some(detail)) => Some(&detail.user),
            _ => self.table.selected(),
        }
    }

    /// Whether the daemon can be asked.
    pub(crate) const fn is_connected(&self) -> bool {
        matches!(self.connection, ConnectionState::Live | ConnectionState::Loading)
    }

    /// For how long what is shown has been stale.
    pub(crate) fn stale_for(&self) -> Option<Duration> {
        self.connection.stale_since().map(|since| self.clock.mono.since(since))
    }

    /// The keys worth knowing right now, with what they do: for the bottom line.
    pub(crate) fn hints(&self) -> Vec<(super::key::Key, &'static str)> {
        use keymap::Action::{
            Accept, Back, Cancel, Copy, Exactly, Export, Forget, Help, Kick, NextFilter, NextPanel, NextSort, Open,
            Palette, Pause, Quit, Search, SetStatus, Times, Yes, Zoom,
        };
        let wanted: &[(keymap::Action, &'static str)] = match self.key_context() {
            KeyContext::Users | KeyContext::Always | KeyContext::Anywhere => &[
                (Help, "help"),
                (Quit, "quit"),
                (Search, "search"),
                (Open, "explain"),
                (NextFilter, "filter"),
                (NextSort, "sort"),
                (Pause, "pause"),
                (SetStatus, "set status"),
                (Kick, "kick"),
                (NextPanel, "panel"),
                (Palette, "commands"),
                (Forget, "forget"),
                (Copy, "copy id"),
                (Export, "export"),
                (Zoom, "zoom"),
                (Times, "times"),
            ],
            KeyContext::Stream => &[
                (Help, "help"),
                (Quit, "quit"),
                (Pause, "pause"),
                (Zoom, "zoom"),
                (Export, "export"),
                (NextPanel, "panel"),
                (Palette, "commands"),
            ],
            KeyContext::Detail => &[
                (Help, "help"),
                (Quit, "quit"),
                (Back, "close"),
                (SetStatus, "set status"),
                (Kick, "kick"),
                (Forget, "forget"),
                (Copy, "copy id"),
                (Zoom, "zoom"),
                (NextPanel, "panel"),
                (Palette, "commands"),
            ],
            KeyContext::Search => &[(Accept, "keep"), (Exactly, "exactly this id"), (Cancel, "everyone")],
            KeyContext::Palette => &[(Accept, "run"), (Cancel, "close")],
            KeyContext::Menu => &[(Accept, "choose"), (Yes, "yes"), (Cancel, "cancel")],
            KeyContext::Help => &[(Cancel, "close")],
        };
        let is_question = matches!(&self.overlay, Some(Overlay::Menu(menu)) if menu.is_question());
        self.way_back()
            .iter()
            .chain(wanted)
            .filter(|(action, _)| *action != Yes || is_question)
            .filter_map(|(action, text)| Some((keymap::key_of(self.key_context(), *action)?, *text)))
            .collect()
    }

    /// How to get back to what is live, where one is not.
    fn way_back(&self) -> Vec<(keymap::Action, &'static str)> {
        let is_lost = self.connection.stale_since().is_some() && self.overlay.is_none() && self.search.is_none();
        let is_back =
            self.key_context() == KeyContext::Stream && !self.change_log.is_following() && self.paused_since.is_none();
        let reconnect = is_lost.then_some((keymap::Action::Reconnect, "try now"));
        let newest = is_back.then_some((keymap::Action::Last, "to the newest"));
        reconnect.into_iter().chain(newest).collect()
    }
}
