//! Figures of the daemon as it is built for use: `measure connections [COUNT]` says what idle connections cost.
#![expect(clippy::panic, reason = "a measurement that fails has nothing to say")]

use std::time::Duration;

use presence_tests::Daemon;
use presence_tests::clock::Stopwatch;
use presence_tests::crowd::Crowd;
use presence_tests::process::raise_file_limit;

const WATCHED: usize = 50;
const IDLE: Duration = Duration::from_secs(25);

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["connections"] => connections(10_000).await,
        ["connections", count] => connections(count.parse().unwrap_or_else(|_| panic!("not a number: {count}"))).await,
        _ => {
            eprintln!("usage: measure connections [COUNT]");
            std::process::exit(2);
        }
    }
}

/// So many idle connections, each watching fifty users: memory and CPU.
async fn connections(count: usize) {
    let files = raise_file_limit();
    assert!(
        files > count as u64 * 12 / 10,
        "the file limit is {files}: raise it with `ulimit -n`"
    );
    let daemon = Daemon::start(&[]).await;
    drop(daemon.socket("the first, for what is made once").await);
    let process = daemon.process();
    let empty = process.resident_bytes();
    println!(
        "build         {}",
        if cfg!(debug_assertions) { "debug" } else { "release" }
    );
    println!("empty         {} KiB", empty / 1024);

    let arriving = Stopwatch::start();
    let before = process.cpu_time();
    let crowd = Crowd::watching(daemon.address(), count, WATCHED).await;
    println!(
        "connections   {} in {:.1?}, each watching {WATCHED} users",
        crowd.open(),
        arriving.elapsed()
    );
    println!("connect CPU   {:.1?} in all", process.cpu_time() - before);
    daemon.written().await;
    let resident = process.resident_bytes();
    println!("resident      {} KiB", resident / 1024);
    println!("a connection  {} bytes", resident.saturating_sub(empty) / count as u64);

    let (idle, before) = (Stopwatch::start(), process.cpu_time());
    presence_tests::wait::wait_for("an idle while", IDLE * 2, async || {
        (idle.elapsed() > IDLE).then_some(())
    })
    .await;
    let share = (process.cpu_time() - before).as_secs_f64() / idle.elapsed().as_secs_f64() * 100.0;
    println!("idle CPU      {share:.2} % of a core over {:.0?}", idle.elapsed());
    assert_eq!(crowd.open(), count, "all stayed");
}
