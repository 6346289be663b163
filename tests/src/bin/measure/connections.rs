//! Measures the memory and CPU of idle connections.

use std::time::Duration;

use presence_tests::Daemon;
use presence_tests::clock::Stopwatch;
use presence_tests::connection_load::ConnectionLoad;
use presence_tests::process::raise_file_limit;

const WATCHED: usize = 50;
const IDLE: Duration = Duration::from_secs(25);

pub(crate) async fn connections(count: usize) {
    let files = raise_file_limit();
    assert!(
        files > count as u64 * 12 / 10,
        "the file limit is {files}: raise it with `ulimit -n`"
    );
    let daemon = Daemon::start(&[]).await;
    drop(daemon.socket("warm-up").await);
    let process = daemon.process();
    let empty = process.resident_bytes();
    println!("build         {}", super::build());
    println!("empty         {} KiB", empty / 1024);

    let arriving = Stopwatch::start();
    let before = process.cpu_time();
    let load = ConnectionLoad::watching(daemon.address(), count, WATCHED).await;
    println!(
        "connections   {} in {:.1?}, each watching {WATCHED} users",
        load.open(),
        arriving.elapsed()
    );
    println!("connect CPU   {:.1?} in all", process.cpu_time() - before);
    daemon.flushed().await;
    let resident = process.resident_bytes();
    println!("resident      {} KiB", resident / 1024);
    println!("a connection  {} bytes", resident.saturating_sub(empty) / count as u64);

    let (idle, before) = (Stopwatch::start(), process.cpu_time());
    presence_tests::wait::let_time_pass(IDLE).await;
    let share = (process.cpu_time() - before).as_secs_f64() / idle.elapsed().as_secs_f64() * 100.0;
    println!("idle CPU      {share:.2} % of a core over {:.0?}", idle.elapsed());
    assert_eq!(load.open(), count, "all are still open");
}
