//! Figures of the programs as they are built for use. `measure connections [COUNT]` says what idle connections cost, `measure
//! dashboard [USERS] [CHANGES_PER_SECOND]` what the dashboard does under load. One measurement a file.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement that fails has nothing to say"
)]

mod connections;
mod dashboard;
mod keys;

use std::process::ExitCode;
use std::str::FromStr;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["connections"] => connections::connections(10_000).await,
        ["connections", count] => connections::connections(number(count)).await,
        ["dashboard"] => return dashboard::dashboard(100_000, 1_000).await,
        ["dashboard", users] => return dashboard::dashboard(number(users), 1_000).await,
        ["dashboard", users, changes] => return dashboard::dashboard(number(users), number(changes)).await,
        _ => {
            eprintln!("usage: measure connections [COUNT] | dashboard [USERS] [CHANGES_PER_SECOND]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn number<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

/// As what these programs were built.
const fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}
