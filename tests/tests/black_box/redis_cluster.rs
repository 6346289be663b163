//! Three daemons on a Redis Cluster of three masters, one of which fails and is replaced by its replica, or hands a partition to
//! another: nobody becomes OFFLINE for it, what may be out of date says so, and the other partitions don't notice.

mod setter;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use presence::Status;
use presence::wire::record::Record;
use presence::wire::rest::QueryResponse;
use presence_tests::clock::Stopwatch;
use presence_tests::connection_load::join_all;
use presence_tests::daemon::Setup;
use presence_tests::poller::Poller;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::recorder::Recorders;
use presence_tests::redis_cluster::{MASTERS, RedisCluster, Replicas};
use presence_tests::wait::{DEADLINE, Ticker, timed};
use presence_tests::{Daemon, Socket, wait_until};

use self::setter::Setter;

const PARTITIONS: usize = 8;
const USERS: usize = 24;
const NAMES: [&str; 3] = ["a", "b", "c"];
/// A partition without an answer is unreachable after 2 s; a second to be told so.
const STALE_WITHIN: Duration = Duration::from_secs(3);
/// Everyone who moved is heard of for 5 s before anybody becomes OFFLINE.
const RIGHT_WITHIN: Duration = Duration::from_secs(10);

/// Three nodes, users with a connection each, and everything that is told of them.
struct Scene {
    redis: Arc<RedisCluster>,
    nodes: Vec<Daemon>,
    users: Vec<String>,
    clients: Vec<Option<Socket>>,
    /// The partition of each user, and the master that has it at first.
    partitions: Vec<usize>,
    homes: Vec<usize>,
    recorders: Recorders,
    pollers: Vec<Poller>,
}

impl Scene {
    async fn start(replicas: Replicas) -> Self {
        let redis = Arc::new(RedisCluster::start(replicas));
        let nodes = start_nodes(&redis).await;
        let users: Vec<String> = (0..USERS).map(|number| format!("u{number:02}")).collect();
        let mut clients = Vec::new();
        for (user, node) in users.iter().zip(nodes.iter().cycle()) {
            clients.push(Some(node.socket(user).await));
        }
        let clock = Stopwatch::start();
        let named: Vec<(&str, &Daemon)> = NAMES.into_iter().zip(&nodes).collect();
        let recorders = Recorders::start(clock, &named).await;
        recorders.all_show(&users, Status::Online, RIGHT_WITHIN).await;
        let every = Duration::from_millis(200);
        let poll = |(name, node): &(&str, &Daemon)| Poller::start(clock, name, node, &users, every);
        let pollers = named.iter().map(poll).collect();
        let (mut partitions, mut homes) = (vec![PARTITIONS; USERS], vec![MASTERS; USERS]);
        for partition in 0..PARTITIONS {
            for (home, user) in online_in(&redis, partition) {
                let number = users.iter().position(|known| *known == user).unwrap();
                (partitions[number], homes[number]) = (partition, home);
            }
        }
        Self {
            redis,
            clients,
            nodes,
            users,
            partitions,
            homes,
            recorders,
            pollers,
        }
    }

    /// The numbers of the users whose partition is on this master, or of the others.
    fn users_on(&self, master: usize, is_on: bool) -> Vec<usize> {
        (0..USERS)
            .filter(|user| (self.homes[*user] == master) == is_on)
            .collect()
    }

    fn names(&self, users: &[usize]) -> Vec<String> {
        users.iter().map(|user| self.users[*user].clone()).collect()
    }

    /// Waits until each node has said of each of these users that the record may be out of date.
    async fn until_stale(&self, users: &[usize]) {
        let each = self.nodes.iter().map(async |node| {
            let (rest, mut left) = (node.rest(), self.names(users));
            wait_until("records are stale", async || {
                let answer: QueryResponse = rest.query(&left).await.ok();
                let stale: Vec<&Record> = answer.users.iter().filter(|record| record.stale).collect();
                left.retain(|user| stale.iter().all(|record| record.user_id.as_str() != user));
                left.is_empty().then_some(())
            })
            .await;
        });
        let (_, took) = timed(join_all(each)).await;
        assert!(took <= STALE_WITHIN, "{took:?}");
    }

    /// Waits until no node says of any of these users that the record may be out of date.
    async fn until_right(&self, users: &[usize]) {
        let names = self.names(users);
        let each = self.nodes.iter().map(async |node| {
            let rest = node.rest();
            wait_until("records are not stale", async || {
                let answer: QueryResponse = rest.query(&names).await.ok();
                (!answer.users.iter().any(|record| record.stale)).then_some(())
            })
            .await;
        });
        let (_, took) = timed(join_all(each)).await;
        assert!(took <= RIGHT_WITHIN, "{took:?}");
    }

    /// Sets the custom status of a user over its connection, and waits until all are told.
    async fn set(&mut self, user: usize, custom: &str, shown: Status) {
        self.clients[user].as_mut().unwrap().set_custom_status(custom).await;
        let told = [self.users[user].clone()];
        self.recorders.all_show(&told, shown, DEADLINE).await;
    }

    /// The session of a user is lost, and the client comes back on the next node.
    async fn move_on(&mut self, user: usize) {
        self.clients[user].take().unwrap().reset();
        let elsewhere = &self.nodes[(user + 1) % self.nodes.len()];
        self.clients[user] = Some(elsewhere.socket(&self.users[user]).await);
    }

    /// All requests were answered, and these users were never shown as OFFLINE nor as out of date in this time.
    fn were_served(&self, users: &[usize], from: Duration, to: Duration) {
        for poller in &self.pollers {
            poller.was_answered_but_for(&[]);
            poller.never(&self.names(users), Status::Offline, from, to);
            for user in users {
                let shown = poller.shown(&self.users[*user], from, to);
                assert!(shown.iter().all(|shown| !shown.is_stale), "{user}: {shown:?}");
            }
        }
    }

    /// The set that other services read has exactly who is present.
    fn online_is_exact(&self) {
        let mut online: Vec<String> = (0..PARTITIONS)
            .flat_map(|partition| online_in(&self.redis, partition))
            .map(|(_, user)| user)
            .collect();
        online.sort();
        let present = self
            .users
            .iter()
            .zip(&self.clients)
            .filter(|(_, client)| client.is_some());
        let present: Vec<String> = present.map(|(user, _)| user.clone()).collect();
        assert_eq!(online, present);
    }
}

async fn start_nodes(redis: &RedisCluster) -> Vec<Daemon> {
    let postgres = PostgresServer::shared();
    let database = postgres.url(&postgres.create_database());
    let redis = redis.flags();
    let partitions = PARTITIONS.to_string();
    let start = async |name: &str| {
        let mut flags = vec![
            "--database",
            &database,
            "--node-name",
            name,
            "--partitions",
            &partitions,
            "--choices-per-10s",
            "100000",
        ];
        flags.extend(redis.iter().map(String::as_str));
        Setup::new(&flags).on_fixed_port().start().await
    };
    let (a, b, c) = tokio::join!(start(NAMES[0]), start(NAMES[1]), start(NAMES[2]));
    vec![a, b, c]
}

/// Who is present in a partition, each with the number of its master.
fn online_in(redis: &RedisCluster, partition: usize) -> Vec<(usize, String)> {
    let home = redis.home_of(partition);
    let members = redis.command(home, &["SMEMBERS", &format!("presence:{{{partition}}}:online")]);
    members.split_whitespace().map(|user| (home, user.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_fails_is_replaced_without_an_event() {
    let mut scene = Scene::start(Replicas::One).await;
    let victim = scene.homes[0];
    let replica = victim + MASTERS;
    let (affected, others) = (scene.users_on(victim, true), scene.users_on(victim, false));
    let [mover, leaver] = [affected[0], affected[1]];

    let failed = scene.recorders.now();
    scene.redis.servers()[victim].kill();
    scene.until_stale(&affected).await;
    // The other partitions are served, and these as far as each node knows.
    scene.set(others[0], "DO_NOT_DISTURB", Status::DoNotDisturb).await;
    scene.move_on(mover).await;
    scene.clients[leaver].take().unwrap().close(Some(1000)).await;

    scene.redis.until_master(replica).await;
    let right = async {
        scene.until_right(&affected).await;
        let left = scene.names(&[leaver]);
        scene.recorders.all_show(&left, Status::Offline, DEADLINE).await;
    };
    let ((), took) = timed(right).await;
    assert!(took <= RIGHT_WITHIN, "{took:?}");
    scene.set(mover, "IDLE", Status::Idle).await;
    let back = scene.recorders.now();

    for user in 0..USERS {
        let changes = scene.recorders.changes(&scene.users[user], failed);
        let expected = if [mover, leaver, others[0]].contains(&user) {
            3
        } else {
            0
        };
        assert_eq!(changes.len(), expected, "one on each node, or none: {changes:#?}");
    }
    scene.were_served(&others, failed, back);

    // The old master comes back as a replica, and an operator makes it the master again.
    scene.redis.servers()[victim].start_again();
    scene.redis.until_replica(victim).await;
    let by_hand = scene.recorders.now();
    scene.redis.fail_over(victim).await;
    scene.until_right(&affected).await;
    scene.set(mover, "ONLINE", Status::Online).await;
    let unmoved: Vec<usize> = (0..USERS).filter(|user| *user != mover).collect();
    scene.recorders.no_change(&scene.names(&unmoved), by_hand);
    scene.online_is_exact();
    scene.recorders.revisions_grew();
}

/// The keys of a partition, in the order in which they are moved.
const KEYS: [&str; 5] = ["state", "log", "online", "custom-status", "new-custom-status"];

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_with_keys_moves_to_another_master_without_an_event() {
    let mut scene = Scene::start(Replicas::None).await;
    // Three users for each partition: one has as many.
    let users_of = |scene: &Scene, partition: usize| -> Vec<usize> {
        (0..USERS).filter(|user| scene.partitions[*user] == partition).collect()
    };
    let partition = (0..PARTITIONS).max_by_key(|one| users_of(&scene, *one).len()).unwrap();
    let affected = users_of(&scene, partition);
    let others: Vec<usize> = (0..USERS).filter(|user| !affected.contains(user)).collect();
    let [busy, mover, leaver] = [affected[0], affected[1], affected[2]];
    let (from, to) = (scene.homes[busy], (scene.homes[busy] + 1) % MASTERS);
    let quiet: Vec<usize> = (0..USERS).filter(|user| ![busy, leaver].contains(user)).collect();
    let began = scene.recorders.now();
    let setter = Setter::start(&scene.nodes[0], &scene.users[busy]);

    // As fast as it goes.
    scene.redis.begin_move(partition, to);
    scene.redis.move_keys(partition, &KEYS, to);
    scene.redis.end_move(partition, to);
    let moved = Stopwatch::start();
    scene.until_right(&affected).await;
    scene.set(mover, "IDLE", Status::Idle).await;
    assert!(moved.elapsed() <= RIGHT_WITHIN, "{:?}", moved.elapsed());
    setter.all_were_taken();
    let again = scene.recorders.now();
    scene.recorders.no_change(&scene.names(&others), began);

    // Back again, and it stands still while one key is there and the others are here.
    scene.redis.begin_move(partition, from);
    scene.redis.move_keys(partition, &KEYS[..1], from);
    scene.until_stale(&affected).await;
    scene.move_on(mover).await;
    scene.clients[leaver].take().unwrap().close(Some(1000)).await;
    scene.set(others[0], "IDLE", Status::Idle).await;
    scene.redis.move_keys(partition, &KEYS[1..], from);
    let returned = scene.recorders.now();
    scene.redis.end_move(partition, from);
    scene.until_right(&affected).await;
    let gone = scene.names(&[leaver]);
    scene.recorders.all_show(&gone, Status::Offline, RIGHT_WITHIN).await;
    setter.end().await;
    scene.set(busy, "ONLINE", Status::Online).await;
    assert!(scene.recorders.now() - returned <= RIGHT_WITHIN);

    let still: Vec<usize> = quiet.into_iter().filter(|user| *user != others[0]).collect();
    scene.recorders.no_change(&scene.names(&still), again);
    let left = scene.recorders.changes(&gone[0], began);
    assert!(
        left.len() == 3 && left.iter().all(|change| change.at >= returned),
        "{left:?}"
    );
    for change in scene.recorders.changes(&scene.users[busy], began) {
        assert_ne!(change.to, Status::Offline, "{change:?}");
    }
    scene.were_served(&others, began, scene.recorders.now());
    scene.online_is_exact();
    scene.recorders.revisions_grew();
}

/// Each master hands over to its replica, and takes over again.
async fn all_fail_over(redis: Arc<RedisCluster>) {
    for master in 0..MASTERS {
        for (next, before) in [(master + MASTERS, master), (master, master + MASTERS)] {
            redis.until_replica(next).await;
            redis.fail_over(next).await;
            redis.until_replica(before).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_go_and_change_while_masters_fail_over() {
    let mut scene = Scene::start(Replicas::One).await;
    let began = scene.recorders.now();
    let busy: Vec<Setter> = (0..3)
        .map(|user| Setter::start(&scene.nodes[user], &scene.users[user]))
        .collect();
    let (redis, is_over) = (Arc::clone(&scene.redis), AtomicBool::new(false));
    let fail_over = async {
        all_fail_over(redis).await;
        is_over.store(true, Ordering::Relaxed);
    };
    let (mut movers, mut leavers, mut left) = (vec![3, 4, 5], vec![6, 7, 8], Vec::new());
    let (changing, quiet) = (9, (10..USERS).collect());
    let live = async {
        let mut ticker = Ticker::every(Duration::from_millis(100));
        while !is_over.load(Ordering::Relaxed) {
            ticker.next().await;
            movers.rotate_left(1);
            scene.move_on(movers[0]).await;
            if let Some(leaver) = leavers.pop() {
                scene.clients[leaver].take().unwrap().close(Some(1000)).await;
                left.push(leaver);
            }
            scene.set(changing, "IDLE", Status::Idle).await;
            scene.set(changing, "ONLINE", Status::Online).await;
        }
    };
    tokio::join!(fail_over, live);
    let all: Vec<usize> = (0..USERS).collect();
    scene.until_right(&all).await;
    let gone = scene.names(&left);
    let ((), took) = timed(scene.recorders.all_show(&gone, Status::Offline, DEADLINE)).await;
    assert!(took <= RIGHT_WITHIN, "{took:?}");
    join_all(busy.into_iter().map(Setter::end)).await;
    for user in 0..3 {
        scene.set(user, "ONLINE", Status::Online).await;
    }
    let until = scene.recorders.now();

    let still: Vec<usize> = [movers, leavers, quiet].concat();
    scene.recorders.no_change(&scene.names(&still), began);
    for user in &gone {
        let changes = scene.recorders.changes(user, began);
        assert_eq!(changes.len(), scene.nodes.len(), "one on each node: {changes:#?}");
    }
    let here: Vec<usize> = (0..USERS).filter(|user| scene.clients[*user].is_some()).collect();
    for poller in &scene.pollers {
        poller.was_answered_but_for(&[]);
        poller.never(&scene.names(&here), Status::Offline, began, until);
    }
    scene.online_is_exact();
    scene.recorders.revisions_grew();
}
