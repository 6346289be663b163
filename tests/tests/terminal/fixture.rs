//! The fixture of most tests: a daemon, some users, and the dashboard in a terminal.

use presence::wire::record::Record;
use presence_tests::daemon::Setup;
use presence_tests::{Daemon, Socket, Terminal};
use serde_json::json;

use super::screen::{Table, has_table, table};

pub(crate) struct Fixture {
    // Dropped in this order: the dashboard before the daemon.
    pub(crate) terminal: Terminal,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) daemon: Daemon,
}

impl Fixture {
    /// Starts the dashboard on a terminal of this size and waits until these users are listed.
    pub(crate) async fn with(users: &[&str], (width, height): (u16, u16)) -> Self {
        let fixture = Self::before(users, (width, height)).await;
        fixture.watch("presencectl watch", users).await;
        fixture
    }

    /// Connects these users and opens a terminal, without starting the dashboard.
    pub(crate) async fn before(users: &[&str], (width, height): (u16, u16)) -> Self {
        let daemon = Setup::new(&["--grace", "1s", "--restart-grace", "20s"])
            .on_fixed_port()
            .start()
            .await;
        let mut sockets = Vec::new();
        for user in users {
            sockets.push(daemon.socket(user).await);
        }
        let terminal = Terminal::of(&daemon, width, height).await;
        Self {
            terminal,
            sockets,
            daemon,
        }
    }

    /// Types this command and waits until these users are listed.
    pub(crate) async fn watch(&self, command: &str, users: &[&str]) {
        self.terminal.line(command);
        self.until("everyone is listed", |table| {
            users.iter().all(|user| table.row(user).is_some())
        })
        .await;
    }

    /// Waits until the table satisfies the condition.
    pub(crate) async fn until(&self, what: &str, is_such: impl Fn(&Table) -> bool) -> Table {
        let screen = self.terminal.until(what, |screen| has_table(screen, &is_such)).await;
        table(&screen).unwrap()
    }

    /// Selects a user with a click.
    pub(crate) async fn select(&self, user: &str) {
        let place = table(&self.terminal.screen()).and_then(|table| table.position(user));
        let (x, y) = place.expect("the user is on the screen");
        self.terminal.click(x + 1, y);
        self.until("the user is selected", |table| table.selected() == Some(user))
            .await;
    }

    /// Sends a report of the user.
    pub(crate) async fn report(&self, user: &str, status: &str) {
        self.daemon
            .rest()
            .report(user, json!({"status": status}))
            .await
            .ok::<Record>();
    }
}
