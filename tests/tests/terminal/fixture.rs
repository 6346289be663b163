//! What most tests begin with: a daemon, some people, and the dashboard in a terminal.

use presence::wire::record::Record;
use presence_tests::daemon::Setup;
use presence_tests::{Daemon, Socket, Terminal};
use serde_json::json;

use super::screen::{Table, has_table, table};

/// A daemon with people, and a terminal.
pub(crate) struct Fixture {
    // Dropped first: the dashboard before what it looks at.
    pub(crate) terminal: Terminal,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) daemon: Daemon,
}

impl Fixture {
    /// The dashboard on a terminal of this size, with these people listed.
    pub(crate) async fn with(people: &[&str], (width, height): (u16, u16)) -> Self {
        let fixture = Self::before(people, (width, height)).await;
        fixture.watch("presencectl watch", people).await;
        fixture
    }

    /// The same, before the dashboard is started.
    pub(crate) async fn before(people: &[&str], (width, height): (u16, u16)) -> Self {
        let daemon = Setup::new(&["--grace", "1s", "--restart-grace", "20s"])
            .on_fixed_port()
            .start()
            .await;
        let mut sockets = Vec::new();
        for person in people {
            sockets.push(daemon.socket(person).await);
        }
        let terminal = Terminal::of(&daemon, width, height).await;
        Self {
            terminal,
            sockets,
            daemon,
        }
    }

    /// Types this and waits until these people are listed.
    pub(crate) async fn watch(&self, command: &str, people: &[&str]) {
        self.terminal.line(command);
        self.until("everyone is listed", |table| {
            people.iter().all(|person| table.row(person).is_some())
        })
        .await;
    }

    /// Waits until the table is such.
    pub(crate) async fn until(&self, what: &str, is_such: impl Fn(&Table) -> bool) -> Table {
        let screen = self.terminal.until(what, |screen| has_table(screen, &is_such)).await;
        table(&screen).unwrap()
    }

    /// Selects a user with a click.
    pub(crate) async fn select(&self, user: &str) {
        let place = table(&self.terminal.screen()).and_then(|table| table.place(user));
        let (x, y) = place.expect("the user is on the screen");
        self.terminal.click(x + 1, y);
        self.until("the user is selected", |table| table.selected() == Some(user))
            .await;
    }

    /// The user is reported.
    pub(crate) async fn report(&self, user: &str, status: &str) {
        self.daemon
            .rest()
            .report(user, json!({"status": status}))
            .await
            .ok::<Record>();
    }
}
