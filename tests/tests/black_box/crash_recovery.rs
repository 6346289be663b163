//! Fifty `SIGKILL`s under load: no acknowledged custom status is lost, no ghost stays present, no user that reconnects
//! within the restart grace is shown OFFLINE, and no time is later than the crash.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use presence::wire::record::{Record, Update};
use presence::{Status, Wall};
use presence_tests::clock::{Stopwatch, wall_now};
use presence_tests::connection_load::join_all;
use presence_tests::daemon::Setup;
use presence_tests::topology::Topology;
use presence_tests::wait::within;
use presence_tests::websocket::Snapshot;
use presence_tests::{Daemon, Rest, Socket, file_lock, wait_until};

const KILLS: usize = 50;
const WRITERS: usize = 8;
const SURVIVORS: usize = 10;
const VALUES: [&str; 3] = ["IDLE", "DO_NOT_DISTURB", "ONLINE"];

/// Long enough for the start of all nodes, and a look at every user, after it began.
fn restart_grace() -> Duration {
    Duration::from_secs(if Topology::wanted().nodes() > 1 { 30 } else { 8 })
}

/// The custom status of a user as its writer knows it: last acknowledged, and unacknowledged when the daemon was
/// killed.
#[derive(Debug, Default)]
struct Known {
    acknowledged: Option<&'static str>,
    under_way: Option<&'static str>,
}

/// Sets custom statuses of its own users, one after the other, until the daemon is killed.
async fn write_until_killed(rest: Rest, writer: usize, life: usize, count: &AtomicUsize) -> BTreeMap<String, Known> {
    let mut known = BTreeMap::<String, Known>::new();
    for step in 0.. {
        // One user across all runs, and many of this run.
        let user = if step % 4 == 0 {
            format!("w{writer}")
        } else {
            format!("w{writer}-{life}-{}", step % 40)
        };
        let value = VALUES[(step / 40 + step + life) % VALUES.len()];
        let entry = known.entry(user.clone()).or_default();
        entry.under_way = Some(value);
        if !is_set(&rest, &user, value).await {
            break;
        }
        *entry = Known {
            acknowledged: Some(value),
            under_way: None,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
    known
}

/// Sets a custom status, again while a slow disk keeps its outcome unknown. False if the daemon was killed before.
async fn is_set(rest: &Rest, user: &str, value: &str) -> bool {
    while let Some(answer) = rest.try_set_custom_status(user, value).await {
        if answer.status == 200 {
            return true;
        }
        answer.rejected(503, "store_unavailable");
    }
    false
}

async fn assert_nothing_lost(rest: &Rest, known: &BTreeMap<String, Known>) {
    for (user, known) in known {
        let stored = rest.custom_status(user).await;
        let possible = [
            known.acknowledged.unwrap_or("ONLINE"),
            known.under_way.unwrap_or("ONLINE"),
        ];
        let fits = possible[0] == stored || known.under_way.is_some() && possible[1] == stored;
        assert!(fits, "{user}: {stored}, not {known:?}");
    }
}

/// One run of the daemon: users connect, writers set custom statuses, the daemon is killed. Returns what the writers
/// know and the time of the kill.
async fn run_and_kill(daemon: &mut Daemon, life: usize) -> (BTreeMap<String, Known>, Wall) {
    let survivors = survivors();
    let sockets = join_all(survivors.iter().map(|name| daemon.session(name))).await;
    let ghost = daemon.session(&format!("ghost-{life}")).await;
    // A user whose row was not read yet has none written, and a crash leaves no trace of it.
    daemon.flushed().await;
    let connected = Stopwatch::start();
    let (count, rest) = (AtomicUsize::new(0), daemon.rest());
    let writers = join_all((0..WRITERS).map(|writer| write_until_killed(rest.clone(), writer, life, &count)));
    let killed = async {
        let enough = 50 + getrandom::u32().unwrap() as usize % 100;
        wait_until("a load, for more than a second", async || {
            (count.load(Ordering::Relaxed) > enough && connected.elapsed().as_millis() > 1_000).then_some(())
        })
        .await;
        daemon.kill();
        wall_now()
    };
    let (known, died) = tokio::join!(writers, killed);
    drop((sockets, ghost));
    (known.into_iter().flatten().collect(), died)
}

fn survivors() -> Vec<String> {
    (0..SURVIVORS).map(|index| format!("survivor-{index}")).collect()
}

fn assert_all_present(snapshot: &Snapshot, life: usize) {
    for name in survivors() {
        let record = snapshot.record(&name);
        assert_ne!(record.status, Status::Offline, "life {life}: {record:?}");
    }
}

/// Reads events until the daemon is killed, and fails if a survivor is shown OFFLINE.
async fn watch_for_false_offline(mut operator: Socket) {
    while let Ok(message) = operator.next().await {
        if let presence::wire::server_message::ServerMessage::Presence { users, .. } = message {
            let offline = |update: &&Update| {
                update.user_id().as_str().starts_with("survivor")
                    && matches!(update, Update::Record(record) if record.status == Status::Offline)
            };
            assert_eq!(users.iter().find(offline), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_crashes_lose_no_custom_status_and_leave_no_ghost() {
    let _lock = file_lock::heavy().await;
    let grace = format!("{}s", restart_grace().as_secs());
    let flags = ["--restart-grace", &grace, "--choices-per-10s", "1000000"];
    let mut daemon = Setup::new(&flags).start().await;
    let mut deaths = BTreeMap::new();
    for life in 0..KILLS {
        let mut operator = daemon.observer().await;
        let snapshot = operator.watch(&survivors()).await;
        if life > 0 {
            assert_all_present(&snapshot, life);
        }
        let ((known, died), ()) = tokio::join!(run_and_kill(&mut daemon, life), watch_for_false_offline(operator));
        assert!(
            known.values().any(|known| known.acknowledged.is_some()),
            "there was a load"
        );
        deaths.insert(format!("ghost-{life}"), died);
        daemon.start_again().await;
        assert_nothing_lost(&daemon.rest(), &known).await;
    }
    assert_no_ghosts(&daemon, &deaths).await;
}

/// After the last restart grace no user is present, and the times of the ghosts are correct.
async fn assert_no_ghosts(daemon: &Daemon, deaths: &BTreeMap<String, Wall>) {
    let rest = daemon.rest();
    let names: Vec<String> = deaths.keys().cloned().collect();
    let everyone_gone = wait_until("no ghost is present", async || {
        let page = rest.list("").await;
        page.users.is_empty().then_some(())
    });
    within("the restart grace and a little", restart_grace() * 3, everyone_gone).await;
    let mut bob = daemon.socket("bob").await;
    for update in bob.watch(&names).await.users {
        let Update::Record(record) = update else {
            panic!("{update:?}")
        };
        assert_times(&record, deaths[record.user_id.as_str()]);
    }
}

fn assert_times(record: &Record, died: Wall) {
    assert_eq!(record.status, Status::Offline, "{record:?}");
    let seen = record.last_seen.expect("it was seen");
    assert!(seen <= died, "{record:?} died {died}: not later than the crash");
    assert!(died.since(seen).as_secs() <= 60, "{record:?} died {died}");
    assert!(record.last_active <= record.last_seen, "{record:?}");
}
