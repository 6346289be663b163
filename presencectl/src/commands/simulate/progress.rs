//! A progress bar on stderr if that is a terminal. It polls the counters; the simulation never waits for it.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Simulation, wait_until};
use crate::cli::Simulate;
use crate::clock;
use crate::output::terminal;
use crate::output::text_table::cut;

/// Columns of the line besides the message, with room for the terminal's echo of Ctrl-C: a full line would wrap and
/// leave a rest behind.
const BESIDE_MESSAGE: usize = 46;
/// For a terminal of unknown width.
const USUAL_WIDTH: usize = 80;

pub(super) struct Progress {
    bar: ProgressBar,
    /// Columns for the message.
    room: usize,
}

impl Progress {
    /// Hidden unless stderr is a terminal.
    pub(super) fn new(args: &Simulate) -> Self {
        let stderr = std::io::stderr();
        let target = if stderr.is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(args.users), target);
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:12}] {pos}/{len}  {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        let width = terminal::width(&stderr).unwrap_or(USUAL_WIDTH);
        Self {
            bar,
            room: width.saturating_sub(BESIDE_MESSAGE),
        }
    }

    /// Waits until all users have tried to connect, at most until `until`.
    pub(super) async fn connecting(&self, simulation: &Simulation, until: Instant) {
        self.bar.set_prefix("connecting");
        wait_until(until, || {
            self.bar.set_position(simulation.arrived.get());
            self.bar
                .set_message(format!("{} errors", simulation.counters.borrow().error_count()));
            simulation.arrived.get() >= simulation.users
        })
        .await;
    }

    pub(super) async fn running(&self, simulation: &Simulation, from: Instant, until: Instant) {
        self.bar.set_prefix("running");
        self.bar.set_length(until.saturating_duration_since(from).as_secs());
        wait_until(until, || {
            self.bar
                .set_position(clock::instant().saturating_duration_since(from).as_secs());
            let counters = simulation.counters.borrow();
            self.set_message(&format!(
                "{} connected, {} changes, {} deliveries, {} errors",
                counters.open,
                counters.changes,
                counters.deliveries,
                counters.error_count()
            ));
            false
        })
        .await;
    }

    fn set_message(&self, text: &str) {
        self.bar.set_message(cut(text, self.room));
    }

    /// Clears the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
