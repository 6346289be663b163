//! Many at once: what a connection costs, what thousands of watchers see, and what those who don't read cost the others.

use presence::wire::record::{Record, Update};
use presence::wire::server::ServerMessage;
use presence::{Revision, Status};
use presence_tests::clock::Stopwatch;
use presence_tests::crowd::{Crowd, all, glutton};
use presence_tests::frame::Frame;
use presence_tests::process::raise_file_limit;
use presence_tests::wait::{pause_between_pings, within};
use presence_tests::{Daemon, Raw, turn, wait_until};
use serde_json::json;
use std::time::Duration;

/// Of a release build; one with debug assertions has larger futures and other code, and may cost twice that.
const BYTES_A_CONNECTION: u64 = if cfg!(debug_assertions) { 12 * 1024 } else { 6 * 1024 };

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_that_watches_fifty_users_is_small_and_costs_nothing() {
    let _turn = turn::heavy().await;
    raise_file_limit();
    const CONNECTIONS: u64 = 1_000;
    let daemon = Daemon::start(&[]).await;
    drop(daemon.socket("the first, for what is made once").await);
    let process = daemon.process();
    let empty = process.resident_bytes();
    let crowd = Crowd::watching(daemon.address(), CONNECTIONS as usize, 50).await;
    daemon.written().await;
    let each = (process.resident_bytes() - empty) / CONNECTIONS;
    assert_eq!(crowd.open() as u64, CONNECTIONS);

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

/// How eagerly a watcher reads.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    AtOnce,
    Slowly,
}

/// Watches the star until it is shown IDLE, which it is in the end and never before; how many states it was told.
async fn watch_the_star(daemon: &Daemon, index: usize, pace: Pace) -> usize {
    let user = format!("watcher-{index}");
    let socket = match pace {
        Pace::AtOnce => Raw::connect(daemon.address()).await,
        Pace::Slowly => Raw::connect_narrow(daemon.address()).await,
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
        // The watcher's own record may come along, with revisions of its own.
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

async fn shine(daemon: &Daemon) {
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
async fn two_thousand_watchers_all_end_on_the_last_state() {
    let _turn = turn::heavy().await;
    raise_file_limit();
    let daemon = Daemon::start(&[]).await;
    let watching = all((0..WATCHERS).map(|index| {
        let pace = if index % 10 == 0 { Pace::Slowly } else { Pace::AtOnce };
        watch_the_star(&daemon, index, pace)
    }));
    let (told, ()) = within("all watchers reach the end", Duration::from_secs(180), async {
        tokio::join!(watching, shine(&daemon))
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
async fn who_stops_reading_is_closed_in_time_and_costs_little_and_nobody_else_notices() {
    let _turn = turn::heavy().await;
    // What gluttons send is cut off in the middle of a message, which must not hide that they don't read.
    let daemon = Daemon::start(&["--write-timeout", "3s", "--message-timeout", "1s", "--grace", "0s"]).await;
    let rest = daemon.rest();
    let mut bob = daemon.socket("bob").await;
    let names: Vec<String> = (0..8).map(|index| format!("glutton-{index}")).collect();
    bob.watch(&names).await;
    let before = daemon.process().resident_bytes();
    let gluttons = all(names.iter().map(|name| glutton(daemon.address(), name))).await;
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
    assert_eq!(rest.stats().await.sessions.connections, 1, "only bob is left");
    let counted = |line: &str| !line.starts_with('#') && line.contains("slow") && line.ends_with(" 8");
    wait_until("all are counted", async || {
        rest.metrics().await.lines().any(counted).then_some(())
    })
    .await;
    drop(gluttons);
}
