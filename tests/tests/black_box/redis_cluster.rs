//! Three daemons on a Redis Cluster of three masters, one of which fails and is replaced by its replica: nobody becomes OFFLINE
//! for it, what may be out of date says so, and the other partitions don't notice.

use std::time::Duration;

use presence::Status;
use presence::wire::rest::QueryResponse;
use presence_tests::clock::Stopwatch;
use presence_tests::daemon::Setup;
use presence_tests::poller::Poller;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::recorder::Recorders;
use presence_tests::redis_cluster::{MASTERS, RedisCluster, Replicas};
use presence_tests::wait::wait_for;
use presence_tests::{Daemon, Socket};

const PARTITIONS: usize = 8;
const USERS: usize = 24;
const NAMES: [&str; 3] = ["a", "b", "c"];
/// A partition without an answer is unreachable after 2 s; a second to be told so.
const STALE_WITHIN: Duration = Duration::from_secs(3);
/// Everyone who moved is heard of for 5 s before anybody becomes OFFLINE.
const RIGHT_WITHIN: Duration = Duration::from_secs(10);

/// Three nodes, users with a connection each, and everything that is told of them.
struct Failover {
    redis: RedisCluster,
    nodes: Vec<Daemon>,
    users: Vec<String>,
    clients: Vec<Option<Socket>>,
    /// The number of the master that has the partition of each user.
    homes: Vec<usize>,
    recorders: Recorders,
    pollers: Vec<Poller>,
}

impl Failover {
    async fn start() -> Self {
        let redis = RedisCluster::start(Replicas::One);
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
        let pollers = named
            .iter()
            .map(|(name, node)| Poller::start(clock, name, node, &users, every));
        let pollers = pollers.collect();
        let mut homes = vec![MASTERS; USERS];
        for (home, user) in (0..PARTITIONS).flat_map(|partition| online_in(&redis, partition)) {
            homes[users.iter().position(|known| *known == user).unwrap()] = home;
        }
        Self {
            redis,
            clients,
            nodes,
            users,
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

    /// Waits until all nodes say of these users whether they may be out of date.
    async fn until_stale(&self, users: &[usize], is_stale: bool, deadline: Duration) {
        let names = self.names(users);
        for node in &self.nodes {
            wait_for("records say whether they are stale", deadline, async || {
                let answer: QueryResponse = node.rest().query(&names).await.ok();
                answer.users.iter().all(|record| record.stale == is_stale).then_some(())
            })
            .await;
        }
    }

    /// Sets the custom status of a user over its connection, and waits until all are told.
    async fn set(&mut self, user: usize, custom: &str, shown: Status) {
        self.clients[user].as_mut().unwrap().set_custom_status(custom).await;
        let told = [self.users[user].clone()];
        self.recorders.all_show(&told, shown, RIGHT_WITHIN).await;
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
    let mut scene = Failover::start().await;
    let victim = scene.homes[0];
    let replica = victim + MASTERS;
    let (affected, others) = (scene.users_on(victim, true), scene.users_on(victim, false));
    let [mover, leaver] = [affected[0], affected[1]];

    let failed = scene.recorders.now();
    scene.redis.servers()[victim].kill();
    scene.until_stale(&affected, true, STALE_WITHIN).await;
    // The other partitions are served, and these as far as each node knows.
    scene.set(others[0], "DO_NOT_DISTURB", Status::DoNotDisturb).await;
    scene.clients[mover].take().unwrap().reset();
    let elsewhere = &scene.nodes[(mover + 1) % 3];
    scene.clients[mover] = Some(elsewhere.socket(&scene.users[mover]).await);
    scene.clients[leaver].take().unwrap().close(Some(1000)).await;

    scene.redis.until_master(replica).await;
    let replaced = Stopwatch::start();
    scene.until_stale(&affected, false, RIGHT_WITHIN).await;
    let left = RIGHT_WITHIN.saturating_sub(replaced.elapsed());
    scene
        .recorders
        .all_show(&scene.names(&[leaver]), Status::Offline, left)
        .await;
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
    for poller in &scene.pollers {
        poller.was_answered_but_for(&[]);
        poller.never(&scene.names(&others), Status::Offline, failed, back);
        for user in &others {
            let shown = poller.shown(&scene.users[*user], failed, back);
            assert!(shown.iter().all(|shown| !shown.is_stale), "{user}: {shown:?}");
        }
    }

    // The old master comes back as a replica, and an operator makes it the master again.
    scene.redis.servers()[victim].start_again();
    scene.redis.until_replica(victim).await;
    let by_hand = scene.recorders.now();
    scene.redis.fail_over(victim).await;
    scene.until_stale(&affected, false, RIGHT_WITHIN).await;
    scene.set(mover, "ONLINE", Status::Online).await;
    let unmoved: Vec<usize> = (0..USERS).filter(|user| *user != mover).collect();
    scene.recorders.no_change(&scene.names(&unmoved), by_hand);
    scene.online_is_exact();
    scene.recorders.revisions_grew();
}
