//! Measurements of the programs, one file per measurement; `scripts/measure` says what each is about. `measure bare-node …` is
//! no measurement, but the node that `dead-node` kills.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails must end")]

mod cluster;
mod connects;
mod dashboard;
mod dead_node;
mod key_latency;
mod reports;

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["cluster"] => return cluster::cluster(3_000, 100_000).await,
        ["cluster", clients] => return cluster::cluster(number(clients), 100_000).await,
        ["cluster", clients, users] => return cluster::cluster(number(clients), number(users)).await,
        ["connects"] => return connects::connects(1_000).await,
        ["connects", count] => return connects::connects(number(count)).await,
        ["dashboard"] => return dashboard::dashboard(100_000, 1_000).await,
        ["dashboard", users] => return dashboard::dashboard(number(users), 1_000).await,
        ["dashboard", users, changes] => return dashboard::dashboard(number(users), number(changes)).await,
        ["dead-node"] => return dead_node::dead_node(30_000).await,
        ["dead-node", sessions] => return dead_node::dead_node(number(sessions)).await,
        ["reports"] => return reports::reports(100_000).await,
        ["reports", users] => return reports::reports(number(users)).await,
        ["bare-node", socket, database, partitions, users] => {
            presence_tests::bare_node::run(socket, database, number(partitions), number(users)).await;
        }
        _ => {
            eprintln!(
                "usage: measure cluster [CLIENTS] [USERS] | connects [COUNT] | \
                 dashboard [USERS] [CHANGES_PER_SECOND] | dead-node [SESSIONS] | reports [USERS]"
            );
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

/// Prints which of these took longer than it may.
fn missed(rows: &[(&str, Duration, Duration)]) -> ExitCode {
    let missed = rows.iter().filter(|(_, took, max)| took > max);
    let missed: Vec<String> = missed
        .map(|(what, took, max)| format!("{what}: {took:.1?}, over {max:?}"))
        .collect();
    evaluate(&missed)
}

/// Prints the limits that were missed.
fn evaluate(missed: &[String]) -> ExitCode {
    for miss in missed {
        println!("MISSED           {miss}");
    }
    if missed.is_empty() {
        println!("all limits are kept");
    }
    ExitCode::from(u8::from(!missed.is_empty()))
}
