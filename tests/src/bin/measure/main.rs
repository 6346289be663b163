//! Measurements of the programs: `measure connections [COUNT]` of idle connections, `measure connects [COUNT]` of connects
//! beside a greedy user, `measure dashboard [USERS] [CHANGES_PER_SECOND]` of the dashboard under load. One file per measurement.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails must end")]

mod connections;
mod connects;
mod dashboard;
mod key_latency;

use std::process::ExitCode;
use std::str::FromStr;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["connections"] => connections::connections(10_000).await,
        ["connections", count] => connections::connections(number(count)).await,
        ["connects"] => return connects::connects(1_000).await,
        ["connects", count] => return connects::connects(number(count)).await,
        ["dashboard"] => return dashboard::dashboard(100_000, 1_000).await,
        ["dashboard", users] => return dashboard::dashboard(number(users), 1_000).await,
        ["dashboard", users, changes] => return dashboard::dashboard(number(users), number(changes)).await,
        _ => {
            eprintln!("usage: measure connections [COUNT] | connects [COUNT] | dashboard [USERS] [CHANGES_PER_SECOND]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn number<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

const fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}
