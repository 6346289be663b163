//! Measures the time from a key to the frame that shows its effect.

use std::fmt;
use std::time::Duration;

use presence_tests::pty::Pty;
use presence_tests::report_load::user;
use presence_tests::wait::let_time_pass;

/// The number of keys of each kind.
const KEYS: usize = 100;

#[derive(Debug)]
pub(crate) struct Latencies {
    pub(crate) what: &'static str,
    /// The latencies, sorted.
    times: Vec<Duration>,
}

impl Latencies {
    fn of(what: &'static str, mut times: Vec<Duration>) -> Self {
        times.sort();
        Self { what, times }
    }

    fn at(&self, share: usize) -> Duration {
        self.times[(self.times.len() * share / 100).min(self.times.len() - 1)]
    }

    /// The 95th percentile: the rest includes preemption by other processes.
    pub(crate) fn percentile_95(&self) -> Duration {
        self.at(95)
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(
            f,
            "{:<14} median {:.1} ms, 95 % {:.1} ms, worst {:.1} ms of {}",
            self.what,
            millis(self.at(50)),
            millis(self.at(95)),
            millis(self.at(100)),
            self.times.len()
        )
    }
}

/// Presses a key at a time unrelated to the frames and waits for its effect.
async fn press(pty: &mut Pty, round: usize, key: &[u8], is_done: impl Fn(&vt100::Screen) -> bool) -> Duration {
    // 60 to 105 ms, so that keys don't fall into step with the frames.
    let_time_pass(Duration::from_micros(60_000 + (round as u64 * 7_919_123) % 45_000)).await;
    let pressed = pty.press(key);
    let what = format!("{:?} shows", String::from_utf8_lossy(key));
    pty.until_after(pressed, &what, is_done).await - pressed
}

pub(crate) async fn help(what: &'static str, pty: &mut Pty) -> Latencies {
    let is_open = |screen: &vt100::Screen| screen.contents().contains("In all panels");
    let mut times = Vec::new();
    for round in 0..KEYS / 2 {
        times.push(press(pty, round, b"?", is_open).await);
        times.push(press(pty, round, b"\x1b", |screen| !is_open(screen)).await);
    }
    Latencies::of(what, times)
}

/// The selected row: its style differs from the rows around it.
fn marked_row(screen: &vt100::Screen) -> Option<u16> {
    let look = |row: u16| screen.cell(row, 4).map(|cell| (cell.bgcolor(), cell.inverse()));
    let (rows, _) = screen.size();
    (1..rows.get() - 1).find(|row| {
        let (above, own, below) = (look(row - 1), look(*row), look(row + 1));
        own != above && own != below && screen.contents_between(*row, 0, *row, 30).contains("user-")
    })
}

pub(crate) async fn selection(pty: &mut Pty) -> Latencies {
    press(pty, 0, b"g", |screen| marked_row(screen).is_some()).await;
    let mut times = Vec::new();
    for round in 0..KEYS {
        let key: &[u8] = if round % 2 == 0 { b"\x1b[B" } else { b"\x1b[A" };
        let before = pty.with_screen(marked_row);
        let has_moved = |screen: &vt100::Screen| marked_row(screen).is_some_and(|row| Some(row) != before);
        times.push(press(pty, round, key, has_moved).await);
    }
    Latencies::of("selection keys", times)
}

/// Types a search letter by letter, then cancels it.
pub(crate) async fn search(pty: &mut Pty, users: usize) -> Latencies {
    let mut times = Vec::new();
    let mut round = 0;
    while times.len() < KEYS {
        let wanted = user((round * 9_973) % users);
        press(pty, round, b"/", |_| true).await;
        for end in 1..=wanted.len() {
            let typed = &wanted[..end];
            round += 1;
            times.push(
                press(pty, round, &wanted.as_bytes()[end - 1..end], |screen| {
                    shows_typed(screen, typed)
                })
                .await,
            );
        }
        pty.until("the user is found", |screen| screen.contents().contains(&wanted))
            .await;
        // Sent at once, the next key and this one would be read as that key with Alt.
        press(pty, round, b"\x1b", |screen| !shows_typed(screen, &wanted)).await;
    }
    Latencies::of("search keys", times)
}

fn shows_typed(screen: &vt100::Screen, typed: &str) -> bool {
    screen.contents().contains(&format!("/{typed}"))
}
