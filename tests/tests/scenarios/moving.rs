//! Users who move from one node to another while Redis is away.

use std::time::Duration;

use presence::wire::record::Record;
use presence::{Status, Wall};
use presence_tests::connection_load::join_all;
use presence_tests::wait::timed;
use presence_tests::{Daemon, Socket};

use crate::scene::{Scene, connect, named, seconds};

/// How long Redis is away, at least: until all have moved.
const AWAY: Duration = Duration::from_secs(20);
/// How many are reset in one step; in every other one half as many close.
const STEP: usize = 10;

/// Within what time 99 of 100 requests are answered.
const ANSWERED_WITHIN: Duration = Duration::from_millis(600);

/// How Redis is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    Stopped,
    Killed,
}

impl Outage {
    fn begin(self, scene: &Scene) {
        match self {
            Self::Stopped => scene.redis_process.stop(),
            Self::Killed => scene.cluster.redis().kill(),
        }
    }

    fn end(self, scene: &Scene) {
        match self {
            Self::Stopped => scene.redis_process.resume(),
            Self::Killed => scene.cluster.redis().start_again(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_while_redis_stands_still_makes_no_event() {
    moving_makes_no_event(Outage::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_while_redis_is_dead_makes_no_event() {
    moving_makes_no_event(Outage::Killed).await;
}

async fn moving_makes_no_event(outage: Outage) {
    let mut scene = Scene::start(&["--appendonly", "yes"]).await;
    let (lost, closed) = (named("lost", 200), named("closed", 50));
    let mut sockets_lost = connect(&scene.cluster.a, &lost).await;
    let mut sockets_closed = connect(&scene.cluster.a, &closed).await;
    let all = [lost.as_slice(), &closed].concat();
    scene.all_are_online(&all).await;
    scene.poll(&all);
    scene.until(scene.now() + seconds(2)).await;
    let before = online_since(&scene.cluster.a, &all).await;

    let began = scene.now();
    outage.begin(&scene);
    let (mut moved, mut welcomes) = (Vec::new(), Vec::new());
    // Spread over the outage: also before the nodes notice it.
    for (step, some) in lost.chunks(STEP).enumerate() {
        scene
            .until(began + AWAY.mul_f64(step as f64 / (lost.len() / STEP) as f64))
            .await;
        sockets_lost.drain(..some.len()).for_each(Socket::reset);
        moved.extend(arrive(&scene.cluster.b, some, &mut welcomes).await);
        if step % 2 == 0 {
            let closing = &closed[moved.len() - (step + 1) * STEP..][..STEP / 2];
            join_all(
                sockets_closed
                    .drain(..closing.len())
                    .map(|socket| socket.close(Some(1000))),
            )
            .await;
            moved.extend(arrive(&scene.cluster.c, closing, &mut welcomes).await);
        }
    }
    scene.until(began + AWAY).await;
    let over = scene.now();
    outage.end(&scene);
    let returned = scene.now();
    scene.until(returned + seconds(15)).await;

    scene.recorders.no_change(&all, began);
    scene.recorders.were_stale_once(began, over).await;
    was_served_stale(&scene, &all, began, over, returned);
    welcomes.sort();
    let longest = welcomes.last().expect("welcomes");
    assert!(*longest <= Duration::from_millis(500), "{welcomes:?}");
    scene.online_is(&all).await;
    scene.all_is_well(&scene.cluster.nodes(), &all).await;
    let after = online_since(&scene.cluster.a, &all).await;
    let away: Vec<_> = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after)
        .collect();
    assert!(away.is_empty(), "{} were never away: {away:?}", away.len());
    scene.recorders.no_change(&all, began);
}

/// What was read of the users over REST: never OFFLINE, stale from 3 s after the begin of the outage to its end and not for
/// long after, and in time.
fn was_served_stale(scene: &Scene, users: &[String], began: Duration, over: Duration, returned: Duration) {
    for node in ["a", "b", "c"] {
        let poller = scene.poller(node);
        poller.never(users, Status::Offline, began, scene.now());
        poller.was_answered_but_for(&[]);
        for user in users {
            let noticed = began + seconds(3);
            let late = scene.recorders.late_between(began, noticed);
            // What is answered after the return may be current.
            let shown = poller.shown(user, noticed + late, over.saturating_sub(ANSWERED_WITHIN));
            let fresh: Vec<_> = shown.iter().filter(|shown| !shown.is_stale).collect();
            assert!(fresh.is_empty(), "{user} at {node} from {began:?}: {fresh:?}");
            let late = scene.recorders.late_between(returned, returned + seconds(10));
            let later = poller.shown(user, returned, returned + seconds(10) + late);
            assert!(later.iter().any(|shown| !shown.is_stale), "{user} at {node}: {later:?}");
        }
        let latencies = poller.latencies(began, over);
        let p99 = latencies[latencies.len() * 99 / 100];
        assert!(p99 <= ANSWERED_WITHIN, "{node}: {latencies:?}");
    }
}

/// Each of the users with the time since when it is ONLINE.
async fn online_since(node: &Daemon, users: &[String]) -> Vec<(String, Option<Wall>)> {
    let answer = node.rest().query(users).await;
    let records: Vec<Record> = serde_json::from_value(answer.body["users"].clone()).expect("records");
    let since = |record: Record| (record.user_id.as_str().to_owned(), record.since);
    records.into_iter().map(since).collect()
}

/// Connects the users, and notes how long it took until they were welcome.
async fn arrive(node: &Daemon, users: &[String], welcomes: &mut Vec<Duration>) -> Vec<Socket> {
    let arriving = users.iter().map(|user| async move {
        let (socket, took) = timed(node.socket(user)).await;
        let status = socket.user.as_ref().map(|user| user.status);
        assert_eq!(status, Some(Status::Online), "{user}");
        (socket, took)
    });
    let (sockets, took): (Vec<_>, Vec<_>) = join_all(arriving).await.into_iter().unzip();
    welcomes.extend(took);
    sockets
}
