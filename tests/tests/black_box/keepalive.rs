//! The keepalive: peers that fall silent, and a daemon that was stalled.

use presence::wire::server_message::ServerMessage;
use presence::{Status, Wall};
use presence_tests::clock::{Stopwatch, wall_now};
use presence_tests::frame::{Frame, opcode};
use presence_tests::raw_client::RawEvent;
use presence_tests::wait::{Ticker, within_deadline};
use presence_tests::websocket::{HandshakeError, HandshakeHeaders, shows};
use presence_tests::{Daemon, RawClient, Socket, wait_until};
use serde_json::json;
use std::time::Duration;

const QUICK: [&str; 6] = ["--ping-interval", "3s", "--ping-timeout", "2s", "--grace", "500ms"];
/// Ping interval, ping timeout, grace period, and the tolerance of one second.
const DETECTED_WITHIN_MILLIS: u128 = 6_500;

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_peer_is_offline_in_time_with_its_last_seen() {
    let daemon = Daemon::start(&QUICK).await;
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice"]).await;
    let mut alice = RawClient::user(daemon.address(), "alice").await;
    let active_from = wall_now();
    alice.send_frame(Frame::text(r#"{"type":"activity","id":"a"}"#)).await;
    alice.text_with("\"a\"").await;
    let active_to = wall_now();
    assert!(alice.is_served().await);
    let heard_to = wall_now();

    let told = bob.wait_for_status("alice", Status::Offline).await;
    let (seen, active) = (told.last_seen.unwrap(), told.last_active.unwrap());
    assert!(
        daemon.earliest_of(active_from) <= active && active <= active_to,
        "{active_from} {active} {active_to}"
    );
    assert!(
        active <= seen && seen <= heard_to,
        "{seen} {heard_to}: never the time of detection"
    );
    let detected = told.since.unwrap().since(seen);
    assert!(detected.as_millis() <= DETECTED_WITHIN_MILLIS, "{detected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_peer_without_activity_was_active_when_it_connected() {
    let daemon = Daemon::start(&QUICK).await;
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice"]).await;
    let connects = wall_now();
    let mut alice = RawClient::user(daemon.address(), "alice").await;
    let connected = wall_now();
    let came = bob.wait_for_status("alice", Status::Online).await;
    assert!(alice.is_served().await);
    let told = bob.wait_for_status("alice", Status::Offline).await;
    // A ping and its answer tell nothing of the user.
    let (active, since) = (told.last_active.unwrap(), came.since.unwrap());
    if daemon.is_in_cluster() {
        // The status is of the moment of the offer, a little later.
        assert!(active <= since, "{active} {since}");
        assert!(
            daemon.earliest_of(connects) <= active && active <= connected,
            "{connects} {active} {connected}"
        );
    } else {
        assert_eq!(active, since);
    }
    assert!(told.last_seen >= told.last_active);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_frame_answers_a_keepalive_ping() {
    let daemon = Daemon::start(&QUICK).await;
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["ponger", "talker", "silent"]).await;
    let mut ponger = RawClient::user(daemon.address(), "ponger").await;
    let mut talker = RawClient::user(daemon.address(), "talker").await;
    let ponging = tokio::spawn(async move {
        loop {
            match ponger.next().await {
                RawEvent::Frame(frame) if frame.opcode == opcode::PING => {
                    ponger.send_frame(Frame::new(opcode::PONG, frame.payload)).await;
                }
                RawEvent::Frame(_) => {}
                end => return end,
            }
        }
    });
    let talking = tokio::spawn(async move {
        loop {
            match talker.next().await {
                RawEvent::Frame(frame) if frame.opcode == opcode::PING => {
                    talker.send_frame(Frame::text(r#"{"type":"activity"}"#)).await;
                }
                RawEvent::Frame(_) => {}
                end => return end,
            }
        }
    });
    for _ in 0..3 {
        let _silent = RawClient::user(daemon.address(), "silent").await;
        let told = bob
            .updates_until("the silent one goes", |update| shows(update, "silent", Status::Offline))
            .await;
        let of_others = told.iter().filter(|update| update.user_id().as_str() != "silent");
        assert!(
            of_others
                .clone()
                .all(|update| !shows(update, "ponger", Status::Offline)),
            "{told:?}"
        );
        assert!(
            of_others
                .clone()
                .all(|update| !shows(update, "talker", Status::Offline)),
            "{told:?}"
        );
    }
    assert!(!ponging.is_finished() && !talking.is_finished());
    let home = daemon.home_of("ponger").await;
    let heard = home.explain("ponger").await.sessions[0].last_heard;
    let age = wall_now().since(heard).as_millis();
    assert!(age < DETECTED_WITHIN_MILLIS, "{age} ms");
    let record = home.record("ponger").await;
    // Times that move alone go to all nodes together, once a minute.
    if daemon.nodes() == 1 {
        let age = wall_now().since(record.last_seen.unwrap()).as_millis();
        assert!(age < DETECTED_WITHIN_MILLIS, "{age} ms");
    }
    assert!(record.last_active <= record.last_seen, "a pong is no activity");
    ponging.abort();
    talking.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_daemon_expires_no_live_connection() {
    let daemon = Daemon::start(&["--ping-interval", "3s", "--ping-timeout", "2s", "--grace", "500ms"]).await;
    let mut users = Vec::new();
    for index in 0..20 {
        users.push(daemon.session(&format!("user-{index}")).await);
    }
    let mut bob = daemon.session("bob").await;
    let names: Vec<String> = (0..20).map(|index| format!("user-{index}")).collect();
    let snapshot = bob.watch(&[names, vec!["silent".to_owned()]].concat()).await;
    bob.wait_for_late_loads(&snapshot.users).await;
    let process = daemon.process();
    process.stop();
    let halted = Stopwatch::start();
    wait_until("the daemon was away longer than all its timers", async || {
        (halted.elapsed().as_millis() > 6_500).then_some(())
    })
    .await;
    process.resume();
    let _silent = RawClient::user(daemon.address(), "silent").await;
    let gone = bob.updates_until("a silent one goes", |update| shows(update, "silent", Status::Offline));
    let told = within_deadline("somebody new is found silent", gone).await;
    assert!(
        told.iter().all(|update| update.user_id().as_str() == "silent"),
        "{told:?}"
    );
    for user in &mut users {
        // A node among others could not reach them for that time, and has said so.
        let mut unseen = user.unseen();
        unseen.retain(|message| !daemon.is_in_cluster() || !matches!(message, ServerMessage::Stale { .. }));
        assert!(unseen.is_empty(), "no connection was closed: {unseen:?}");
        user.be_active().await;
    }
    assert!(daemon.rest().record("user-0").await.last_seen > Some(Wall::from_millis(0)));
    let stats = daemon.rest().stats().await;
    assert!(
        stats.stalls.count > 0 && stats.stalls.longest_seconds > 5.0,
        "{stats:?}"
    );
    assert!(stats.uptime_seconds >= 5, "uptime goes on: {stats:?}");
}

/// What the slow link takes in a hundredth of a second.
const LINK_BYTES: usize = 200;
/// What lies on the way of the slow link: a fraction of a second of it.
const LINK_BUFFER_BYTES: usize = 4096;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_on_a_slow_link_is_not_lost() {
    // A ping is as old as a third of a second when the client has read what its system had before it.
    let daemon = Daemon::start(&["--ping-interval", "2s", "--ping-timeout", "1500ms", "--grace", "0s"]).await;
    // Not through a load balancer, which takes bytes that the client does not have yet.
    let mut slow = RawClient::connect_with_buffer(daemon.address_of_node(), LINK_BUFFER_BYTES)
        .await
        .with_headers(&[("x-user-id", "slow")])
        .await;
    let users: Vec<String> = (0..1_000).map(|index| format!("user-{index}")).collect();
    let watch = json!({"type": "watch", "userIds": users});
    slow.send_frame(Frame::text(watch.to_string())).await;
    let (begun, mut link) = (Stopwatch::start(), Ticker::every(Duration::from_millis(10)));
    let (mut is_done, mut pings) = (false, 0);
    // The ping lies behind the answer, in the same read or in a later one.
    while !is_done || pings == 0 {
        link.next().await;
        let frames = slow.read_some(LINK_BYTES).await;
        for frame in frames.expect("the connection stays open while it reads") {
            if frame.opcode == opcode::PING {
                pings += 1;
                slow.send_frame(Frame::new(opcode::PONG, frame.payload)).await;
            } else {
                is_done |= String::from_utf8_lossy(&frame.payload).contains("\"done\":true");
            }
        }
    }
    assert!(
        begun.elapsed() > Duration::from_secs(4),
        "longer than a silent client may take"
    );
    assert!(slow.is_served().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_sessions_of_a_full_user_make_room_soon() {
    let daemon = Daemon::start(&[
        "--sessions-per-user",
        "3",
        "--ping-interval",
        "100s",
        "--ping-timeout",
        "1s",
    ])
    .await;
    let mut living = daemon.socket("alice").await;
    let _silent = [
        RawClient::user(daemon.address(), "alice").await,
        RawClient::user(daemon.address(), "alice").await,
    ];
    let one_more = || Socket::connect(daemon.address(), HandshakeHeaders::user("alice"));
    assert_eq!(one_more().await.unwrap_err(), HandshakeError::Closed(4029));
    let mut newcomer = wait_until("there is room", async || one_more().await.ok()).await;
    for socket in [&mut living, &mut newcomer] {
        let answer = socket.ask(json!({"type": "ping"})).await;
        assert!(matches!(answer, ServerMessage::Pong { .. }), "{answer:?}");
    }
}
