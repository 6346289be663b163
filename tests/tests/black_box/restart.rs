//! Restarts: custom statuses survive, users that reconnect within the restart grace are not shown OFFLINE, the others
//! are with correct times, and revisions grow.

use std::net::SocketAddr;
use std::time::Duration;

use presence::wire::record::Update;
use presence::{CustomStatus, Revision, Status};
use presence_tests::clock::{Stopwatch, wall_now};
use presence_tests::connection_load::join_all;
use presence_tests::topology::Topology;
use presence_tests::websocket::{HandshakeError, HandshakeHeaders, shows};
use presence_tests::{Daemon, RawClient, Socket, wait_until};
use serde_json::json;

/// How long users are in grace after a restart, in seconds: for as long as several nodes need to start on a busy machine.
fn restart_grace_seconds() -> u64 {
    if Topology::wanted().nodes() > 1 { 10 } else { 3 }
}

/// A node cleans up from a random moment within a second after the end of a grace period, which is 200 ms late.
const CLEANED_UP_WITHIN: Duration = Duration::from_secs(3);

/// A daemon whose graces are short enough to wait for.
async fn start_quick(flags: &[&str]) -> Daemon {
    let grace = format!("{}s", restart_grace_seconds());
    let quick = ["--grace", "1s", "--restart-grace", &grace];
    Daemon::start(&[quick.as_slice(), flags].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connected_user_is_in_grace_after_a_crash_then_offline() {
    let mut daemon = start_quick(&[]).await;
    let mut alice = daemon.socket("alice").await;
    alice.set_custom_status("DO_NOT_DISTURB").await;
    let left = daemon.socket("left").await;
    left.close(Some(1000)).await;
    let before = daemon.rest().record("alice").await;
    let heard_to = wall_now();
    // A connect is written behind, so it is on disk a moment later.
    daemon.flushed().await;
    daemon.crash_and_start_again().await;

    let mut bob = daemon.socket("bob").await;
    let snapshot = bob.watch(&["alice", "left", "never"]).await;
    let shown = snapshot.record("alice");
    assert_eq!(shown.status, Status::DoNotDisturb, "grace, as saved");
    assert_eq!(
        snapshot.record("left").status,
        Status::Offline,
        "nobody who left is back"
    );
    let never = snapshot.record("never");
    assert_eq!((never.status, never.since), (Status::Offline, None));
    if daemon.is_in_cluster() {
        assert_eq!(never.revision, Revision::NEVER, "the log has all that was told");
    } else {
        assert!(never.revision >= before.revision, "as if it had been lost in the crash");
    }
    let explain = daemon.rest().explain("alice").await;
    assert_eq!((explain.sessions.len(), explain.grace.is_some()), (0, true));
    let told = bob.wait_for_status("alice", Status::Offline).await;
    assert!(told.revision > before.revision);
    let ends = explain.grace.unwrap().until;
    if daemon.nodes() == 1 {
        assert!(told.since.unwrap() >= daemon.earliest_of(ends), "{told:?} {explain:?}");
    } else {
        // Of the run of another node a node knows by when its grace period is over at the latest.
        assert!(
            told.since.unwrap() >= heard_to.after(Duration::from_secs(restart_grace_seconds())),
            "{told:?} {explain:?}"
        );
        assert!(
            told.since.unwrap() <= ends.after(CLEANED_UP_WITHIN),
            "{told:?} {explain:?}"
        );
    }
    let seen = told.last_seen.unwrap();
    assert!(seen <= heard_to, "{seen} {heard_to}: not later than the truth");
    assert!(heard_to.since(seen).as_secs() < 60, "{seen} {heard_to}");
    assert!(told.last_active <= told.last_seen);
    assert_eq!(daemon.rest().custom_status("alice").await, "DO_NOT_DISTURB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconnect_within_the_restart_grace_is_no_event() {
    let mut daemon = Daemon::start(&["--restart-grace", "20s"]).await;
    let mut alice = daemon.socket("alice").await;
    let saved = daemon.logged(alice.set_custom_status("IDLE").await).await;
    daemon.flushed().await;
    daemon.crash_and_start_again().await;
    let mut bob = daemon.session("bob").await;
    let shown = bob.watch(&["alice", "marker"]).await.record("alice");
    assert_eq!((shown.status, shown.since), (Status::Idle, saved.since));
    let alice = daemon.socket("alice").await;
    assert_eq!(alice.user.as_ref().unwrap().custom_status, Some(CustomStatus::Idle));
    let marker = async {
        daemon
            .rest()
            .report("marker", json!({"status": "ONLINE"}))
            .await
            .ok::<presence::wire::record::Record>()
    };
    let told = bob.updates_before("marker", marker).await;
    assert_eq!(told, [], "no event at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_grow_over_every_kind_of_restart() {
    let mut daemon = start_quick(&[]).await;
    let mut revision = 0;
    for round in 0..4 {
        let mut alice = daemon.socket("alice").await;
        for custom in ["DO_NOT_DISTURB", "ONLINE"] {
            let now = daemon
                .logged(alice.set_custom_status(custom).await)
                .await
                .revision
                .get();
            assert!(now > revision, "{now} after {revision}");
            revision = now;
        }
        assert!(revision < 1 << 53, "a JavaScript number holds it");
        if round % 2 == 0 {
            daemon.kill();
        } else {
            assert!(daemon.terminate().await.success());
        }
        daemon.start_again().await;
        let back = daemon.rest().record("alice").await.revision.get();
        assert!(back >= revision, "{back} after {revision}");
    }
}

/// After what delay the client is to come back, and when it was told.
async fn say_goodbye(mut socket: Socket, asked: Stopwatch) -> (u64, Duration) {
    let (code, reason, reconnect) = socket.goodbye().await;
    assert_eq!(code, 1012, "{reason}");
    (reconnect.expect("when to come back"), asked.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_sends_every_client_a_delay_and_exits_with_0() {
    // Several nodes have 16 or more clients each, so they need over 1.5 s at this rate.
    let slowly = ["--drain-rate", "10"];
    let mut daemon = match Topology::wanted().nodes() {
        1 => start_quick(&[]).await,
        _ => start_quick(&slowly).await,
    };
    let address = daemon.address();
    let names: Vec<String> = (0..50).map(|index| format!("user-{index}")).collect();
    let mut sockets = join_all(names.iter().map(|name| daemon.socket(name))).await;
    let mut alice = daemon.socket("alice").await;
    alice.set_custom_status("DO_NOT_DISTURB").await;
    let active = daemon.rest().record("alice").await.last_active;
    sockets.push(daemon.observer().await);
    // A client that neither reads nor answers must not delay the exit.
    let _mute = RawClient::user(address, "mute").await;
    let asked = Stopwatch::start();
    daemon.process().terminate();
    let told = join_all(sockets.into_iter().map(|socket| say_goodbye(socket, asked))).await;
    say_goodbye(alice, asked).await;
    let status = daemon.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(asked.elapsed().as_secs() < 10, "{:?}", asked.elapsed());
    let (delays, moments): (Vec<u64>, Vec<Duration>) = told.into_iter().unzip();
    let (spread, least) = match daemon.nodes() {
        1 => (
            u128::from(delays.iter().max().unwrap() - delays.iter().min().unwrap()),
            1,
        ),
        // Those who can go elsewhere are told one after the other.
        _ => (
            (*moments.iter().max().unwrap() - *moments.iter().min().unwrap()).as_millis(),
            500,
        ),
    };
    assert!(spread >= least, "not all at once: {delays:?} {moments:?}");
    assert!(
        delays.iter().all(|delay| *delay < restart_grace_seconds() * 1_000),
        "in time for the restart grace: {delays:?}"
    );
    let gone = Socket::connect(address, HandshakeHeaders::user("late"))
        .await
        .unwrap_err();
    assert_eq!(gone, HandshakeError::Unreachable);

    daemon.start_again().await;
    let mut bob = daemon.socket("bob").await;
    let snapshot = bob.watch(&["alice", "user-0", "user-1"]).await;
    assert_eq!(snapshot.record("alice").status, Status::DoNotDisturb);
    let _back = daemon.socket("user-0").await;
    let gone = |update: &Update| shows(update, "user-1", Status::Offline);
    let told = bob.updates_until("user-1 does not come back", gone).await;
    assert!(
        told.iter().all(|update| update.user_id().as_str() != "user-0"),
        "{told:?}"
    );
    assert_eq!(
        daemon.rest().record("alice").await.last_active,
        active,
        "the daemon's end is no activity"
    );
}

/// A request whose body of this length has not arrived; `100 Continue` shows that it is under way.
async fn under_way(address: SocketAddr, length: usize) -> RawClient {
    let mut slow = RawClient::connect(address).await;
    let head = format!(
        "PUT /api/user/custom-status HTTP/1.1\r\nhost: {address}\r\nx-user-id: slow\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    slow.send(head).await;
    assert_eq!(slow.response().await.status, 100);
    slow
}

/// Whether a request that is under way when SIGTERM comes is answered once nobody else is served any more.
async fn is_answered_after_sigterm() -> bool {
    let mut daemon = Daemon::start(&[]).await;
    let address = daemon.address();
    let body = r#"{"customStatus":"IDLE"}"#;
    let mut slow = under_way(address, body.len()).await;
    daemon.process().terminate();
    wait_until("nobody else is served", async || {
        let late = Socket::connect(address, HandshakeHeaders::user("late")).await;
        late.is_err_and(|error| error == HandshakeError::Unreachable)
            .then_some(())
    })
    .await;
    slow.send(body).await;
    let answered = slow.response().await.status == 200;
    assert_eq!(daemon.ended().await.code(), Some(0));
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_a_request_under_way_be_answered() {
    // On a busy machine two seconds may be over before the rest of it is sent.
    for _ in 0..5 {
        if is_answered_after_sigterm().await {
            return;
        }
    }
    panic!("cut each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_the_daemon_in_time_despite_stuck_clients() {
    let mut daemon = Daemon::start(&["--message-timeout", "10m"]).await;
    let address = daemon.address();
    let _mute = RawClient::user(address, "mute").await;
    let _slow = under_way(address, 100).await;
    let _locked = daemon.lock_database().await;
    let _unwritten = daemon.socket("unwritten").await;
    let asked = Stopwatch::start();
    assert_eq!(daemon.terminate().await.code(), Some(0));
    assert!(asked.elapsed().as_secs() < 10, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_flushes_the_write_behind() {
    let mut daemon = Daemon::start(&["--grace", "0s"]).await;
    let alice = daemon.socket("alice").await;
    alice.close(Some(1000)).await;
    // A node among others knows of it milliseconds later.
    let before = wait_until("the close is known as activity", async || {
        let record = daemon.rest().record("alice").await;
        (record.last_active.is_some() && !record.stale).then_some(record)
    })
    .await;
    assert!(daemon.terminate().await.success());
    daemon.start_again().await;
    let after = daemon.rest().record("alice").await;
    assert_eq!(
        (after.status, after.last_seen, after.last_active),
        (Status::Offline, before.last_seen, before.last_active)
    );
    assert_eq!(after.since, before.since);
    if daemon.is_in_cluster() {
        assert_eq!(after.revision, before.revision, "as on the other nodes");
    } else {
        assert!(after.revision > before.revision, "as after every start");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_and_a_second_sigterm_end_the_daemon() {
    let mut daemon = Daemon::start(&[]).await;
    let _alice = daemon.socket("alice").await;
    let process = daemon.process();
    process.terminate();
    process.terminate();
    let status = daemon.ended().await;
    assert!(status.code().is_some_and(|code| code == 0), "{status:?}");
    daemon.start_again().await;
    daemon.process().interrupt();
    assert_eq!(daemon.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_downtime_no_user_is_in_grace() {
    let mut daemon = Daemon::start(&["--restart-grace", "20s"]).await;
    let mut alice = daemon.socket("alice").await;
    alice.set_custom_status("IDLE").await;
    daemon.flushed().await;
    daemon.kill();
    daemon.edit_database("UPDATE heartbeat SET wall = wall - 290000");
    daemon.start_again().await;
    assert_eq!(
        daemon.rest().record("alice").await.status,
        Status::Idle,
        "less than five minutes"
    );
    daemon.kill();
    daemon.edit_database("UPDATE heartbeat SET wall = wall - 310000");
    daemon.start_again().await;
    let record = daemon.rest().record("alice").await;
    assert_eq!(
        (record.status, record.custom_status),
        (Status::Offline, Some(CustomStatus::Idle))
    );
    assert!(daemon.rest().explain("alice").await.grace.is_none());
    assert_eq!(daemon.rest().list("").await.users, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_times_from_the_future_are_clamped() {
    let mut daemon = Daemon::start(&["--restart-grace", "5s"]).await;
    daemon.socket("alice").await.close(Some(1000)).await;
    let revision = daemon.rest().record("alice").await.revision;
    assert!(daemon.terminate().await.success());
    daemon.edit_database(
        "UPDATE profile SET last_seen = last_seen + 86400000, last_active = last_active + 86400000, since = since + 86400000 WHERE user_id = 'alice'",
    );
    daemon.start_again().await;
    let record = daemon.rest().record("alice").await;
    let now = wall_now();
    assert!(
        record.last_seen <= Some(now) && record.last_active <= Some(now) && record.since <= Some(now),
        "{record:?} {now}"
    );
    assert!(record.revision >= revision);
    let mut alice = daemon.socket("alice").await;
    alice.be_active().await;
    let record = daemon.rest().record("alice").await;
    assert!(record.last_active <= Some(wall_now()) && record.last_active <= record.last_seen);
}
