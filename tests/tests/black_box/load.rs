//! Load: the cost of a connection, thousands of watchers, and clients that don't read.

use presence::wire::record::{Record, Update};
use presence::wire::server_message::ServerMessage;
use presence::{Revision, Status};
use presence_tests::clock::Stopwatch;
use presence_tests::connection_load::{ConnectionLoad, join_all, slow_reader};
use presence_tests::frame::Frame;
use presence_tests::process::raise_file_limit;
use presence_tests::wait::{pause_between_pings, within};
use presence_tests::{Daemon, RawClient, file_lock, wait_until};
use serde_json::json;
use std::time::Duration;

/// Of one that watches 50 users, with the allocator and the features of a default build. At 10,000 of them a release build takes 2.8
/// KiB (`scripts/bench idle-watching`). A debug build has larger futures, and here takes up to 3.8, of a cluster or not.
const BYTES_A_CONNECTION: u64 = if cfg!(debug_assertions) { 5 * 1024 } else { 4 * 1024 };

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_uses_little_memory_and_cpu() {
    let _lock = file_lock::heavy().await;
    raise_file_limit();
    const FIRST: usize = 250;
    const MORE: usize = 1_000;
    let daemon = Daemon::start(&[]).await;
    let process = daemon.process();
    assert!(
        process.file_slots() > (FIRST + MORE) as u64,
        "nobody waits while room is made"
    );
    // What the first connections alone bring along is not memory of each: stacks of threads, caches of the database.
    let first = ConnectionLoad::watching(daemon.address(), 0..FIRST, 50).await;
    daemon.flushed().await;
    let before = process.resident_bytes();
    let more = ConnectionLoad::watching(daemon.address(), FIRST..FIRST + MORE, 50).await;
    daemon.flushed().await;
    let each = process.resident_bytes().saturating_sub(before) / MORE as u64;
    assert_eq!((first.open(), more.open()), (FIRST, MORE));

    let (idle, before) = (Stopwatch::start(), process.cpu_time());
    wait_until("a few idle seconds", async || {
        (idle.elapsed() > Duration::from_secs(3)).then_some(())
    })
    .await;
    let cpu = process.cpu_time() - before;
    println!(
        "{each} bytes a connection; {cpu:?} of a core in {:?} of idleness",
        idle.elapsed()
    );
    assert!(each <= BYTES_A_CONNECTION, "{each}");
    assert!(cpu < Duration::from_millis(300), "{cpu:?}");
}

#[derive(Clone, Copy, PartialEq)]
enum Pace {
    AtOnce,
    Slowly,
}

/// Watches `star` until it is IDLE, its last state, and returns the number of states received.
async fn watch_the_star(daemon: &Daemon, index: usize, pace: Pace) -> usize {
    let user = format!("watcher-{index}");
    let socket = match pace {
        Pace::AtOnce => RawClient::connect(daemon.address()).await,
        Pace::Slowly => RawClient::connect_narrow(daemon.address()).await,
    };
    let mut raw = socket.with_headers(&[("x-user-id", &user)]).await;
    raw.send_frame(Frame::text(r#"{"type":"watch","userIds":["star"]}"#))
        .await;
    raw.text_with("\"done\":true").await;
    let (mut revision, mut told) = (Revision::NEVER, 0);
    loop {
        let text = raw.text_with("\"star\"").await;
        let ServerMessage::Presence { users, .. } = serde_json::from_str::<ServerMessage>(&text).unwrap() else {
            panic!("{text}")
        };
        // The watcher's own record may be in the event too.
        for update in users.iter().filter(|update| update.user_id().as_str() == "star") {
            assert!(update.revision() > revision, "{update:?} after {revision:?}");
            revision = update.revision();
            told += 1;
            if matches!(update, Update::Record(record) if record.status == Status::Idle) {
                return told;
            }
        }
        if pace == Pace::Slowly {
            pause_between_pings().await;
        }
    }
}

const WATCHERS: usize = 2_000;
const CHANGES: usize = 100;

async fn change_the_star(daemon: &Daemon) {
    let rest = daemon.rest();
    wait_until("everyone watches", async || {
        let stats = rest.stats().await;
        (stats.sessions.watches >= WATCHERS as u64).then_some(())
    })
    .await;
    for round in 0..CHANGES {
        let status = ["ONLINE", "DO_NOT_DISTURB"][round % 2];
        rest.report("star", json!({"status": status})).await.ok::<Record>();
    }
    rest.report("star", json!({"status": "IDLE"})).await.ok::<Record>();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_watchers_all_receive_the_last_state() {
    let _lock = file_lock::heavy().await;
    raise_file_limit();
    let daemon = Daemon::start(&[]).await;
    let watching = join_all((0..WATCHERS).map(|index| {
        let pace = if index % 10 == 0 { Pace::Slowly } else { Pace::AtOnce };
        watch_the_star(&daemon, index, pace)
    }));
    let (told, ()) = within("all watchers reach the end", Duration::from_secs(180), async {
        tokio::join!(watching, change_the_star(&daemon))
    })
    .await;
    assert_eq!(told.len(), WATCHERS);
    assert!(told.iter().all(|told| (1..=CHANGES + 1).contains(told)));
    println!(
        "{} states told of {}",
        told.iter().sum::<usize>(),
        WATCHERS * (CHANGES + 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_is_closed_without_affecting_others() {
    let _lock = file_lock::heavy().await;
    // What they send is cut off within a message: the message timeout must not hide that they don't read.
    let daemon = Daemon::start(&["--write-timeout", "3s", "--message-timeout", "1s", "--grace", "0s"]).await;
    let rest = daemon.rest();
    let mut bob = daemon.socket("bob").await;
    let names: Vec<String> = (0..8).map(|index| format!("reader-{index}")).collect();
    bob.watch(&names).await;
    let before = daemon.process().resident_bytes();
    let readers = join_all(names.iter().map(|name| slow_reader(daemon.address(), name))).await;
    let cost = daemon.process().resident_bytes().saturating_sub(before);
    assert!(cost < 32 << 20, "{cost} bytes for {} of them", names.len());
    let mut gone = 0;
    while gone < names.len() {
        let asked = Stopwatch::start();
        rest.report("other", json!({"status": "ONLINE"})).await.ok::<Record>();
        assert!(matches!(
            bob.ask(json!({"type": "ping"})).await,
            ServerMessage::Pong { .. }
        ));
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}: the others don't notice",
            asked.elapsed()
        );
        let updates = bob.next_updates().await;
        let offline = |update: &&Update| matches!(update, Update::Record(record) if record.status == Status::Offline);
        gone += updates.iter().filter(offline).count();
    }
    wait_until("only bob is left", async || {
        (rest.stats().await.sessions.connections == 1).then_some(())
    })
    .await;
    let counted = |line: &str| !line.starts_with('#') && line.contains("slow") && line.ends_with(" 8");
    wait_until("all are counted", async || {
        rest.metrics().await.lines().any(counted).then_some(())
    })
    .await;
    drop(readers);
}
