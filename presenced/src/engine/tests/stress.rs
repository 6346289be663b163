//! Everything at once, at random, on a store that fails and hangs now and then. When it is over, what watchers were told
//! is how things are, what is shown is on disk, and nothing is left in memory or in the counts.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use presence::wire::record::{Update, Viewer};
use presence::wire::rest::SessionStats;
use presence::wire::server_message::ServerMessage;
use presence::{Actor, CustomStatus, EndReason, ReportInput, Revision, Status, UserId};

use super::client::Client;
use super::fixture::{Fixture, Settings, user};
use super::random::Rng;
use crate::engine::users::LockedEntry;
use crate::engine::{Engine, EngineOptions};

const USERS: usize = 8;
const ACTORS: u64 = 8;
const STEPS: usize = 200;

fn any_user(rng: &mut Rng) -> UserId {
    name(rng.below(USERS))
}

fn any_users(rng: &mut Rng) -> Vec<UserId> {
    (0..rng.below(6)).map(|_| any_user(rng)).collect()
}

fn any_report(rng: &mut Rng) -> ReportInput {
    ReportInput {
        source: rng.pick(&["a", "b"]).parse().expect("a source"),
        status: rng.pick(&[Status::Online, Status::Idle, Status::DoNotDisturb, Status::Offline]),
        ttl: Some(Duration::from_millis(rng.below(50) as u64)),
        update_last_active: true,
    }
}

fn name(number: usize) -> UserId {
    user(&format!("user-{number}"))
}

/// What `look` sees in the memory of each user that is there.
fn each<T>(engine: &Engine, look: impl Fn(&LockedEntry<'_>) -> T) -> Vec<T> {
    let looked = (0..USERS).filter_map(|number| engine.users.find(&name(number)).map(|entry| look(&entry)));
    looked.collect()
}

/// Something happens to a user.
async fn act_on_user(fixture: &Fixture, rng: &mut Rng) {
    let (engine, who) = (&fixture.engine, any_user(rng));
    match rng.below(8) {
        0 => drop(engine.kick(&who).await),
        1 => drop(engine.forget(&who).await),
        2 | 3 => {
            let custom = rng.pick(&[CustomStatus::Online, CustomStatus::Idle, CustomStatus::DoNotDisturb]);
            drop(engine.set_custom_status(&who, custom, Actor::User, Viewer::Own).await);
        }
        4..=6 => drop(engine.report(&who, any_report(rng)).await),
        _ => drop(engine.record(&who, Viewer::Internal).await),
    }
}

/// Something happens on a connection.
async fn act_on(fixture: &Fixture, rng: &mut Rng, client: &Client) {
    let (engine, conn) = (&fixture.engine, &client.conn);
    match rng.below(8) {
        0..=2 => drop(engine.watch(conn, None, any_users(rng), None).await),
        3 | 4 => engine.unwatch(conn, &any_users(rng)),
        5 if conn.user().is_none() => engine.watch_all(conn, None, None).await,
        6 => drop(engine.away(conn, None)),
        _ => drop(engine.activity(conn, Duration::ZERO)),
    }
}

/// Who is left of those who came.
async fn act(fixture: Arc<Fixture>, seed: u64) -> Vec<Client> {
    let mut rng = Rng::new(seed);
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..STEPS {
        let picked = rng.below(clients.len().max(1));
        match rng.below(8) {
            0 => clients.extend(fixture.try_connect(any_user(&mut rng).as_str()).await),
            1 => clients.push(fixture.observe().await),
            2 if !clients.is_empty() => {
                let end = rng.pick(&[EndReason::Closed, EndReason::Left, EndReason::Lost, EndReason::Dropped]);
                clients.swap_remove(picked).end(&fixture, end);
            }
            3 | 4 if !clients.is_empty() => act_on(&fixture, &mut rng, &clients[picked]).await,
            _ => act_on_user(&fixture, &mut rng).await,
        }
    }
    clients
}

/// The store fails and hangs, until everyone is done.
async fn disturb(fixture: &Fixture, is_over: impl Fn() -> bool) {
    let mut rng = Rng::new(77);
    while !is_over() {
        let mut held = None;
        match rng.below(4) {
            0 => fixture.store.fail_reads(true),
            1 => fixture.store.fail_writes(true),
            2 => held = Some(fixture.store.hold_commits()),
            _ => {}
        }
        for _ in 0..rng.below(30) {
            fixture.a_moment().await;
        }
        fixture.store.fail_reads(false);
        drop(held);
    }
}

/// Waits until nothing more follows from what was.
async fn until_quiet(fixture: &Fixture) {
    let is_quiet = |engine: &Engine| {
        let is_calm = |entry: &LockedEntry<'_>| !entry.state.is_assumed() && !entry.state.has_ends_ahead();
        // The writes last: what becomes calm may have one more.
        engine.persistence.unknown_outcomes.len() == 0
            && each(engine, is_calm).iter().all(|is_calm| *is_calm)
            && engine.persistence.write_behind.pending() == 0
    };
    fixture.until("nothing is under way", is_quiet).await;
}

/// What is shown is on disk.
async fn compare_with_disk(fixture: &Fixture) {
    let shown = each(&fixture.engine, |entry| {
        let profile = entry.state.profile();
        let reports: Vec<_> = profile.reports().iter().map(|one| one.source.clone()).collect();
        (
            entry.user().clone(),
            *profile.preference(),
            reports,
            profile.decision().status,
            entry.state.is_connected(),
            profile.revision(),
        )
    });
    for (user, preference, reports, status, connected, revision) in shown {
        let stored = fixture.stored(user.as_str()).await;
        let found = format!("{user} at {revision:?}: {stored:?}");
        let row = stored.unwrap_or_default();
        let stored: Vec<_> = row.durable.reports.iter().map(|one| one.source.clone()).collect();
        assert_eq!((row.durable.preference, stored), (preference, reports), "{found}");
        assert_eq!(
            (row.status, !row.connected_on.is_empty()),
            (status, connected),
            "{found}"
        );
    }
}

/// What a client was told last of each user is how things are.
async fn compare_with_told(fixture: &Fixture, client: &mut Client) {
    let is_delivered = |_: &Engine| client.conn.outbox().lock().is_quiet();
    fixture.until("all is delivered", is_delivered).await;
    client.conn.send_text(r#"{"type":"pong","id":"end"}"#);
    let mut told: HashMap<UserId, (Revision, Status)> = HashMap::new();
    loop {
        let (users, is_snapshot) = match client.next().await {
            ServerMessage::Pong { id: Some(_) } => break,
            ServerMessage::Snapshot { users, .. } => (users, true),
            ServerMessage::Presence { users, .. } => (users, false),
            _ => continue,
        };
        for update in users {
            let (user, now) = match update {
                Update::Record(record) => (record.user_id, (record.revision, record.status)),
                Update::Removed(removed) => (removed.user_id, (removed.revision, Status::Offline)),
            };
            let known = told.entry(user).or_insert(now);
            if is_snapshot || known.0 <= now.0 {
                *known = now;
            }
        }
    }
    let is_told = |entry: &LockedEntry<'_>| {
        let told = told.get(entry.user()).map(|told| told.1);
        let is_right = told == Some(entry.state.profile().decision().status);
        (
            !entry.is_watched_by(&client.conn) || is_right,
            entry.user().clone(),
            told,
        )
    };
    let wrong: Vec<_> = each(&fixture.engine, is_told)
        .into_iter()
        .filter(|one| !one.0)
        .collect();
    assert!(wrong.is_empty(), "told otherwise: {wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn concurrent_operations_on_a_failing_store_leave_nothing_wrong() {
    let settings = Settings {
        grace: Duration::from_millis(20),
        answer_within: Duration::from_millis(30),
        connect_waits: EngineOptions::CONNECT_WAITS,
    };
    let fixture = Arc::new(Fixture::with(settings).await);
    let actors: Vec<_> = (1..=ACTORS)
        .map(|seed| tokio::spawn(act(Arc::clone(&fixture), seed)))
        .collect();
    disturb(&fixture, || actors.iter().all(tokio::task::JoinHandle::is_finished)).await;
    let mut clients = Vec::new();
    for actor in actors {
        clients.extend(actor.await.expect("no panic"));
    }
    until_quiet(&fixture).await;
    compare_with_disk(&fixture).await;
    for client in clients.iter_mut().filter(|client| client.conn.close_reason().is_none()) {
        compare_with_told(&fixture, client).await;
    }
    for client in &clients {
        client.end(&fixture, EndReason::Closed);
    }
    until_quiet(&fixture).await;
    fixture
        .until("nobody is in memory", |engine| each(engine, |_| ()).is_empty())
        .await;
    let stats = fixture.engine.stats();
    assert_eq!(stats.sessions, SessionStats::default());
    assert_eq!((stats.users.total(), stats.pending_writes), (0, 0));
}
