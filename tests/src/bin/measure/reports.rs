//! Measures a cluster with very many users who are present by reports: listing them, watching all of them, the start of a
//! node, and whether the nodes answer meanwhile.

use std::process::ExitCode;
use std::time::Duration;

use presence_tests::clock::Stopwatch;
use presence_tests::many_users::{list_all, watch_all};
use presence_tests::report_load::{make_present_on_all, user};
use presence_tests::responsiveness::{Longest, Responsiveness};

use super::cluster::start;

/// The limits, for 100,000 users.
const PAGE_MAX: Duration = Duration::from_millis(100);
const WATCH_ALL_MAX: Duration = Duration::from_secs(3);
const START_MAX: Duration = Duration::from_secs(5);
/// The longest time in which a node does not answer, beyond what the machine takes from every program.
const STALL_MAX: Duration = Duration::from_millis(100);

/// Measures so many users.
pub(crate) async fn reports(users: usize) -> ExitCode {
    let mut cluster = start().await;
    let making = Stopwatch::start();
    make_present_on_all(&cluster.nodes(), 0..users).await;
    println!("present          {users} users by reports in {:.1?}", making.elapsed());
    cluster.a.flushed().await;
    let asked: Vec<String> = (0..64).map(|number| user(number * users / 64)).collect();
    let on_a = Responsiveness::watch(&cluster.a, asked.clone());
    let on_b = Responsiveness::watch(&cluster.b, asked);

    let listed = list_all(&cluster.b).await;
    assert_eq!(listed.users, users);
    println!(
        "listed           in {:.1?}, {} pages, the longest {:.1?}",
        listed.took, listed.pages, listed.longest
    );
    let (watched, took) = watch_all(&cluster.b).await;
    assert_eq!(watched, users);
    println!("watchAll         in {took:.1?}");
    let meanwhile = on_a.take_longest().max(on_b.take_longest());
    print(meanwhile);

    cluster.c.kill();
    let starting = Stopwatch::start();
    cluster.c.start_again().await;
    let started = starting.elapsed();
    println!("a node starts    in {started:.1?}");
    assert_eq!(list_all(&cluster.c).await.users, users, "a node that accepts has all");
    let during_start = on_a.take_longest().max(on_b.take_longest());
    print(during_start);
    super::missed(&[
        ("a page", listed.longest, PAGE_MAX),
        ("watchAll", took, WATCH_ALL_MAX),
        ("the start of a node", started, START_MAX),
        ("an answer", meanwhile.beyond, STALL_MAX),
        ("an answer during the start", during_start.beyond, STALL_MAX),
    ])
}

fn print(longest: Longest) {
    println!("meanwhile        {longest}");
}
