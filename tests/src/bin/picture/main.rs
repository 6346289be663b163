//! Makes the picture of the README from the real program: a daemon, simulated people, and the dashboard in a terminal. What
//! a cell looks like is in `cells`, how it is drawn in `svg` and `shapes`. `picture FILE` ends by itself.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a picture that can't be made is none")]

mod cells;
mod shapes;
mod svg;

use std::process::Stdio;
use std::time::Duration;

use presence_tests::process::raise_file_limit;
use presence_tests::wait::meanwhile;
use presence_tests::{Daemon, Terminal, ctl, wait_until};

const SIZE: (u16, u16) = (120, 36);
const PEOPLE: &str = "500";
/// So long sparklines are in the making: more than a cell a second of the widest one.
const LOOKED_AT: Duration = Duration::from_secs(100);
/// They stay until the picture is made.
const PEOPLE_STAY: &str = "180s";

#[tokio::main]
async fn main() {
    let Some(file) = std::env::args().nth(1) else {
        panic!("usage: picture FILE");
    };
    raise_file_limit();
    let daemon = Daemon::start(&["--idle-after", "60s"]).await;
    let simulate = ["simulate", "--users", PEOPLE, "--duration", PEOPLE_STAY];
    let mut people = ctl::command(&daemon, &simulate)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let terminal = Terminal::of(&daemon, SIZE.0, SIZE.1).await;
    terminal.line("presencectl watch");
    terminal.shows("STATUS").await;
    meanwhile(LOOKED_AT).await;
    // Somebody who is shown idle by choice has the most to explain.
    terminal.keys(&["Down", "Down", "Down", "Down", "Down", "Enter"]);
    terminal.shows("rule").await;
    // The explanation has its times after a moment.
    meanwhile(Duration::from_secs(3)).await;
    let screen = cells::read(&terminal.screen_with_styles(), SIZE.0.into());
    std::fs::write(&file, svg::draw(&screen)).unwrap();
    terminal.keys(&["q"]);
    terminal.prompt().await;
    people.kill().unwrap();
    wait_until("the people are gone", async || people.try_wait().unwrap()).await;
    println!("{file}");
}
