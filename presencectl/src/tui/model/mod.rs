//! The state of the dashboard: everything a frame is drawn from. It has no drawing library, terminal, network or clock;
//! only `update` changes it.

pub(crate) mod change_log;
pub(crate) mod cluster;
mod departures;
pub(crate) mod history;
pub(crate) mod known_users;
mod node_names;
pub(crate) mod overlay;
mod row;
mod row_slots;
mod search_query;
pub(crate) mod sort_order;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod text_input;
pub(crate) mod trouble;
mod unapplied_rows;
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

/// How long a notice is shown.
pub(crate) const NOTICE_STANDS: Duration = Duration::from_secs(6);

/// The state of the connection to the daemon.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ConnectionState {
    Connecting,
    /// Connected; the first snapshot is incomplete.
    Loading,
    /// The data is current.
    Live,
    /// The data is outdated; reconnecting.
    Lost {
        since: Mono,
        why: String,
        /// The next attempt; `None` during an attempt.
        retry_at: Option<Mono>,
    },
    /// The data is outdated; a permanent failure.
    Ended {
        since: Mono,
        why: String,
        /// A suggestion, where there is one.
        next: Option<String>,
    },
}

impl ConnectionState {
    /// Since when the data is outdated; `None` if it is current.
    pub(crate) const fn stale_since(&self) -> Option<Mono> {
        match self {
            Self::Lost { since, .. } | Self::Ended { since, .. } => Some(*since),
            Self::Connecting | Self::Loading | Self::Live => None,
        }
    }
}

/// The daemon, from its welcome.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Daemon {
    pub(crate) server: String,
    pub(crate) node: String,
    pub(crate) version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Panel {
    #[default]
    Users,
    ChangeLog,
    Detail,
}

impl Panel {
    pub(crate) const fn key_context(self) -> KeyContext {
        match self {
            Self::Users => KeyContext::Users,
            Self::ChangeLog => KeyContext::ChangeLog,
            Self::Detail => KeyContext::Detail,
        }
    }
}

/// How times are displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TimeDisplay {
    /// Absolute and relative.
    #[default]
    Both,
    Relative,
    Absolute,
}

/// The detail panel: the explanation of one user.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Detail {
    pub(crate) user: UserId,
    pub(crate) explain: Option<Box<Explain>>,
    /// Why the last request failed.
    pub(crate) error: Option<String>,
    /// The last record, also of a user who is not listed.
    pub(crate) record: Option<Box<Record>>,
    /// The first visible line.
    pub(crate) top: usize,
    /// The number of lines at the last draw. This is the only value that drawing writes: only there it is known how
    /// sentences wrap.
    pub(crate) drawn_lines: Cell<usize>,
    pub(crate) requested_at: Option<Mono>,
    /// A request is in progress.
    pub(crate) is_requested: bool,
    /// The user changed since the last request.
    pub(crate) is_outdated: bool,
}

impl Detail {
    pub(crate) const fn new(user: UserId) -> Self {
        Self {
            user,
            explain: None,
            error: None,
            record: None,
            top: 0,
            drawn_lines: Cell::new(0),
            requested_at: None,
            is_requested: false,
            is_outdated: true,
        }
    }
}

/// A message for the operator, shown for a few seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Text of users in it is escaped already.
    pub(crate) text: String,
    pub(crate) is_error: bool,
    pub(crate) until: Mono,
}

/// The requests in progress, so that none is sent twice.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct PendingRequests {
    pub(crate) stats: bool,
    pub(crate) records: bool,
    /// When the last request for records was sent.
    pub(crate) records_at: Option<Mono>,
    /// The users of that request.
    pub(crate) records_of: Vec<UserId>,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) size: Size,
    pub(crate) connection: ConnectionState,
    /// The daemon has said that it can't reach Redis.
    pub(crate) is_stale: bool,
    pub(crate) daemon: Daemon,
    pub(crate) known_users: KnownUsers,
    pub(crate) table: Table,
    pub(crate) change_log: ChangeLog,
    pub(crate) history: History,
    pub(crate) stats: Option<Box<Stats>>,
    /// Why the last request failed.
    pub(crate) stats_error: Option<String>,
    /// The round trip time of the last request.
    pub(crate) round_trip: Option<Duration>,
    pub(crate) detail: Option<Detail>,
    /// The user to select after the first snapshot.
    pub(crate) initial_user: Option<UserId>,
    pub(crate) panel: Panel,
    /// Whether the focused panel fills the screen.
    pub(crate) is_zoomed: bool,
    /// The server's clock when the table and the change log were paused; none while they are not.
    pub(crate) paused_since: Option<Wall>,
    /// The search input, while it is open.
    pub(crate) search: Option<TextInput>,
    pub(crate) overlay: Option<Overlay>,
    pub(crate) notice: Option<Notice>,
    pub(crate) times: TimeDisplay,
    pub(crate) pending: PendingRequests,
    /// The clocks of this machine at the last tick.
    pub(crate) clock: Now,
    /// The server's clock, advanced between messages. It goes back only when another daemon is connected.
    pub(crate) now: Wall,
    /// The server's clock in the last message with the monotonic time of its arrival, from which it is advanced.
    pub(crate) server_clock: (Wall, Mono),
    /// When the last message with the server's clock arrived.
    pub(crate) heard_at: Mono,
    /// When this process went on after it was stopped: what it could not hear before that is no silence of the daemon.
    pub(crate) resumed_at: Mono,
    /// Whether the next server time is the first of a connection: it is accepted even if it is earlier.
    pub(crate) is_clock_new: bool,
    /// The second of the next history sample.
    pub(crate) second: u64,
    /// Changes in that second.
    pub(crate) changes: u64,
}

impl Model {
    pub(crate) fn new(size: Size, clock: Now) -> Self {
        Self {
            size,
            connection: ConnectionState::Connecting,
            is_stale: false,
            daemon: Daemon::default(),
            known_users: KnownUsers::default(),
            table: Table::default(),
            change_log: ChangeLog::default(),
            history: History::default(),
            stats: None,
            stats_error: None,
            round_trip: None,
            detail: None,
            initial_user: None,
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
            server_clock: (clock.wall, clock.mono),
            heard_at: clock.mono,
            resumed_at: clock.mono,
            is_clock_new: true,
            second: clock.mono.as_millis() / 1000,
            changes: 0,
        }
    }

    /// Opens the detail of a user.
    #[must_use]
    pub(crate) fn with_user(mut self, user: UserId) -> Self {
        self.initial_user = Some(user.clone());
        self.detail = Some(Detail::new(user));
        self
    }

    /// The context in which keys are looked up.
    pub(crate) const fn key_context(&self) -> KeyContext {
        match (&self.overlay, &self.search) {
            (Some(Overlay::Help { .. }), _) => KeyContext::Help,
            (Some(Overlay::Palette(_)), _) => KeyContext::Palette,
            (Some(Overlay::Menu(_)), _) => KeyContext::Menu,
            (None, Some(_)) => KeyContext::Search,
            (None, None) => self.panel.key_context(),
        }
    }

    /// The user of an action: that of the focused detail, else the selected one.
    pub(crate) fn subject(&self) -> Option<&UserId> {
        match (self.panel, &self.detail) {
            (Panel::Detail, Some(detail)) => Some(&detail.user),
            _ => self.table.selected(),
        }
    }

    /// Whether requests can be sent.
    pub(crate) const fn is_connected(&self) -> bool {
        matches!(self.connection, ConnectionState::Live | ConnectionState::Loading)
    }

    /// The time at which the table and the change log are told: during a pause, ages stand still too.
    pub(crate) fn rows_now(&self) -> Wall {
        self.paused_since.unwrap_or(self.now)
    }

    /// How long the data has been outdated.
    pub(crate) fn stale_for(&self) -> Option<Duration> {
        self.connection.stale_since().map(|since| self.clock.mono.since(since))
    }

    /// The key hints of the footer, most important first.
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
            KeyContext::ChangeLog => &[
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
            KeyContext::Search => &[(Accept, "select"), (Exactly, "exact id"), (Cancel, "all users")],
            KeyContext::Palette => &[(Accept, "run"), (Cancel, "close")],
            KeyContext::Menu => &[(Accept, "confirm"), (Yes, "yes"), (Cancel, "cancel")],
            KeyContext::Help => &[(Cancel, "close")],
        };
        let is_question = matches!(&self.overlay, Some(Overlay::Menu(menu)) if menu.is_question());
        self.return_hint()
            .iter()
            .chain(wanted)
            .filter(|(action, _)| *action != Yes || is_question)
            .filter_map(|(action, text)| Some((keymap::key_of(self.key_context(), *action)?, *text)))
            .collect()
    }

    /// The key that returns to current data: reconnect, or follow the change log.
    fn return_hint(&self) -> Vec<(keymap::Action, &'static str)> {
        let is_lost = self.connection.stale_since().is_some() && self.overlay.is_none() && self.search.is_none();
        let is_back = self.key_context() == KeyContext::ChangeLog
            && !self.change_log.is_following()
            && self.paused_since.is_none();
        let reconnect = is_lost.then_some((keymap::Action::Reconnect, "retry now"));
        let newest = is_back.then_some((keymap::Action::Last, "newest"));
        reconnect.into_iter().chain(newest).collect()
    }
}
