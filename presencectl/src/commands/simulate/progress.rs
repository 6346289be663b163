//! How far the simulation is, as a bar on stderr if that is a terminal. It looks at the ledger now and then; nobody waits
//! for it.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{World, wait_until};
use crate::cli::Simulate;
use crate::clock;

/// The bar.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Hidden unless stderr is a terminal.
    pub(super) fn new(args: &Simulate) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(args.users), target);
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:20}] {pos}/{len}  {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar }
    }

    /// Until everyone has tried to connect, at most until then.
    pub(super) async fn arriving(&self, world: &World, until: Instant) {
        self.bar.set_prefix("arriving");
        wait_until(until, || {
            self.bar.set_position(world.arrived.get());
            self.bar
                .set_message(format!("{} errors", world.ledger.borrow().error_count()));
            world.arrived.get() >= world.users
        })
        .await;
    }

    /// Until the time is over.
    pub(super) async fn living(&self, world: &World, from: Instant, until: Instant) {
        self.bar.set_prefix("living");
        self.bar.set_length(until.saturating_duration_since(from).as_secs());
        wait_until(until, || {
            self.bar
                .set_position(clock::instant().saturating_duration_since(from).as_secs());
            let ledger = world.ledger.borrow();
            self.bar.set_message(format!(
                "{} here, {} changes, {} deliveries, {} errors",
                ledger.open,
                ledger.changes,
                ledger.deliveries,
                ledger.error_count()
            ));
            false
        })
        .await;
    }

    /// Leaves the terminal as it was.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
