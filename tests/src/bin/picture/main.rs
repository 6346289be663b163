//! Makes the screenshot of the README, as SVG, from a daemon, simulated users and the dashboard in a terminal: `picture
//! FILE`. Parsing of the screen is in `cells`, drawing in `svg` and `shapes`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a picture that can't be made is none")]

mod cells;
mod shapes;
mod svg;

use std::process::Stdio;
use std::time::Duration;

use presence_tests::process::raise_file_limit;
use presence_tests::wait::let_time_pass;
use presence_tests::{Daemon, Terminal, presencectl, wait_until};

const SIZE: (u16, u16) = (120, 36);
const USERS: &str = "500";
/// The time until the widest sparkline is full, at one column a second.
const SPARKLINES_FULL: Duration = Duration::from_secs(100);
/// Longer than the screenshot takes.
const STAY: &str = "180s";

#[tokio::main]
async fn main() {
    let Some(file) = std::env::args().nth(1) else {
        panic!("usage: picture FILE");
    };
    raise_file_limit();
    let daemon = Daemon::start(&["--idle-after", "60s"]).await;
    let simulate = ["simulate", "--users", USERS, "--duration", STAY];
    let mut people = presencectl::command(&daemon, &simulate)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let terminal = Terminal::of(&daemon, SIZE.0, SIZE.1).await;
    terminal.line("presencectl watch");
    terminal.shows("STATUS").await;
    let_time_pass(SPARKLINES_FULL).await;
    // A user who is idle by a custom status has the most to explain.
    terminal.keys(&["Down", "Down", "Down", "Down", "Down", "Enter"]);
    terminal.shows("rule").await;
    // The explanation has its times after a moment.
    let_time_pass(Duration::from_secs(3)).await;
    let screen = cells::read(&terminal.screen_with_styles(), SIZE.0.into());
    std::fs::write(&file, svg::draw(&screen)).unwrap();
    terminal.keys(&["q"]);
    terminal.prompt().await;
    people.kill().unwrap();
    wait_until("the people are gone", async || people.try_wait().unwrap()).await;
    println!("{file}");
}
