//! A cluster whose Redis is to fail, with users on all nodes, and what they and their operators do meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use presence::Status;
use presence::wire::record::Record;
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::poller::Poller;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::recorder::Recorders;
use presence_tests::redis_server::RedisServer;
use presence_tests::rest::send;
use presence_tests::wait::{let_time_pass, timed, timed_within, wait_until};
use presence_tests::{DEADLINE, Daemon, Rest, Socket};
use reqwest::Method;
use serde_json::json;

use self::right::records;
use crate::held_cursors::HeldCursor;

mod right;

/// Users with a connection on each node, who stay.
const STAYING: usize = 30;
/// How often each node is asked of all users.
const POLL: Duration = Duration::from_secs(1);
/// No answer of REST takes longer, whatever Redis does.
const ANSWERED_WITHIN: Duration = Duration::from_millis(600);
/// A fault is told within this time.
const STALE_WITHIN: Duration = Duration::from_secs(3);
/// For how long users whom no node has in a new epoch are shown as before: a lease (15 s), 5 s and a node's grace (12 s), and a
/// second in which nodes clean up. With the quiet at the end this is exceeded by far.
const NOT_TAKEN_OVER_FOR: Duration = Duration::from_secs(33);
/// How many partitions there are by default.
const PARTITIONS: usize = 16;
/// The names of the nodes.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// The cluster, with its users.
pub(crate) struct Watched<'a> {
    pub(crate) cluster: Cluster,
    postgres: &'a PostgresServer,
    pub(crate) recorders: Recorders,
    clock: Stopwatch,
    /// Who is present all the time.
    pub(crate) present: Vec<String>,
    /// Who has come, and who has left, since the fault began.
    came: Vec<String>,
    left: Vec<String>,
    /// Who was reported meanwhile, as the node that took it said.
    reported: Vec<Record>,
    /// Who is present all the time and has set DO_NOT_DISTURB, with when.
    undisturbed: Vec<(String, Duration)>,
    /// What observers had who left before the fault, and while nodes said that they may be out of date.
    cursors: Vec<HeldCursor>,
    /// The epochs then of all partitions.
    epochs: Vec<String>,
    cursors_of_outage: Vec<HeldCursor>,
    pub(crate) sockets: BTreeMap<String, Socket>,
    pollers: Vec<Poller>,
    /// When Redis began to fail, and until when it did at least, once that was noticed.
    redis_failed: Duration,
    redis_failed_until: Option<Duration>,
    /// When the fault began, and what each node's process was and had taken by then.
    begun: Duration,
    processes: Vec<(i32, Duration)>,
}

impl<'a> Watched<'a> {
    /// Starts the nodes on this Redis, with their users.
    pub(crate) async fn start(postgres: &'a PostgresServer, redis: RedisServer) -> Self {
        let cluster = Cluster::start_linked(postgres, Arc::new(redis), &[]).await;
        let nodes = cluster.nodes();
        let named: Vec<_> = NAMES.into_iter().zip(nodes).collect();
        let clock = Stopwatch::start();
        let recorders = Recorders::start(clock, &named).await;
        let (mut present, mut sockets) = (Vec::new(), BTreeMap::new());
        for (name, node) in named {
            for number in 0..STAYING {
                let user = format!("{name}-{number}");
                sockets.insert(user.clone(), node.socket(&user).await);
                present.push(user);
            }
        }
        recorders.all_show(&present, Status::Online, DEADLINE).await;
        let (cursors, epochs) = (cursors_of(&cluster).await, epochs(&cluster));
        Self {
            cluster,
            postgres,
            recorders,
            clock,
            present,
            came: Vec::new(),
            left: Vec::new(),
            reported: Vec::new(),
            undisturbed: Vec::new(),
            cursors,
            epochs,
            cursors_of_outage: Vec::new(),
            sockets,
            pollers: Vec::new(),
            redis_failed: Duration::ZERO,
            redis_failed_until: None,
            begun: Duration::ZERO,
            processes: Vec::new(),
        }
    }

    /// A fault is about to begin: from now on nobody of these is to become OFFLINE.
    pub(crate) fn begin(&mut self) {
        self.begun = self.recorders.now();
        self.fault_of_redis_begins();
        self.processes = self.processes();
        let nodes = NAMES.iter().zip(self.cluster.nodes());
        let pollers = nodes.map(|(name, node)| Poller::start(self.clock, name, node, &self.present, POLL));
        self.pollers = pollers.collect();
    }

    /// Redis is about to fail.
    pub(crate) fn fault_of_redis_begins(&mut self) {
        self.redis_failed = self.recorders.now();
    }

    /// Redis, which all nodes have noticed to fail, is about to be as before.
    pub(crate) fn fault_of_redis_ends(&mut self) {
        self.redis_failed_until = Some(self.recorders.now());
    }

    /// Each node refuses what must be stored.
    pub(crate) async fn writes_are_refused(&self) {
        for rest in self.rests() {
            let answer = rest.set_custom_status("a-1", "ONLINE").await;
            answer.rejected(503, "store_unavailable");
        }
    }

    /// Each node refuses in time to end sessions, which the others would not be told of.
    pub(crate) async fn commands_are_refused(&self) {
        for rest in self.rests() {
            for path in ["/api/presence/a-1/sessions", "/api/user/a-1"] {
                let command = send(rest.internal(Method::DELETE, path));
                let answer = timed_within("a command is refused", ANSWERED_WITHIN, command).await;
                answer.rejected(503, "cluster_unavailable");
            }
            assert_eq!(rest.get("/readyz").await.status, 200);
        }
    }

    /// A user with a connection to b sets DO_NOT_DISTURB at c, which takes it in time.
    pub(crate) async fn sets_do_not_disturb(&mut self, user: &str) {
        let rest = self.cluster.c.rest();
        self.present.retain(|present| present != user);
        self.undisturbed.push((user.to_owned(), self.recorders.now()));
        let setting = rest.set_custom_status(user, "DO_NOT_DISTURB");
        let set = timed_within("a custom status is taken", ANSWERED_WITHIN, setting).await;
        assert_eq!(set.ok::<Record>().status, Status::DoNotDisturb);
        let on_c = self.recorders.of(&["c"]);
        on_c.all_show(&[user], Status::DoNotDisturb, DEADLINE).await;
    }

    /// A user who has set DO_NOT_DISTURB before has it on a further connection to c, whatever is away.
    pub(crate) async fn is_undisturbed_at_c(&mut self, user: &str) {
        let socket = self.cluster.c.socket(user).await;
        let own = socket.user.as_ref().map(|user| user.status);
        assert_eq!(own, Some(Status::DoNotDisturb));
        self.sockets.insert(format!("{user} at c"), socket);
    }

    /// What the database keeps is taken.
    pub(crate) async fn some_is_taken(&mut self) {
        self.sets_do_not_disturb("b-1").await;
        self.is_reported("reported").await;
    }

    /// A gateway reports a user to b, which takes it in time.
    pub(crate) async fn is_reported(&mut self, user: &str) {
        let rest = self.cluster.b.rest();
        let reporting = rest.report(user, json!({"status": "ONLINE"}));
        let reported = timed_within("a report is taken", ANSWERED_WITHIN, reporting).await;
        let reported: Record = reported.ok();
        assert_eq!(reported.status, Status::Online);
        self.reported.push(reported);
        self.came.push(user.to_owned());
    }

    /// Each node takes it again. The present users stay ONLINE.
    pub(crate) async fn writes_are_taken(&self) {
        for rest in self.rests() {
            rest.set_custom_status("a-1", "ONLINE").await.ok::<Record>();
        }
    }

    fn processes(&self) -> Vec<(i32, Duration)> {
        let processes = self.cluster.nodes().map(|node| node.process());
        processes.iter().map(|one| (one.id(), one.cpu_time())).collect()
    }

    /// A user moves from a to b, another one leaves c, and one comes to a.
    pub(crate) async fn some_change(&mut self) {
        let there = self.cluster.b.socket("a-0").await;
        self.sockets.insert("a-0".to_owned(), there).unwrap().reset();
        self.comes("comes").await;
        self.leaves("c-0").await;
    }

    /// A user comes to a. The own record, as the welcome has it.
    pub(crate) async fn comes(&mut self, user: &str) -> Record {
        let socket = self.cluster.a.socket(user).await;
        let own = socket.user.clone();
        self.sockets.insert(user.to_owned(), socket);
        self.came.push(user.to_owned());
        own.unwrap()
    }

    /// The number of the partition of a user who is present.
    pub(crate) fn partition_of(&self, user: &str) -> usize {
        let has = |number: &usize| {
            let key = format!("presence:{{{number}}}:state");
            self.cluster.command(&["HEXISTS", &key, user]) == "1"
        };
        (0..PARTITIONS).find(has).unwrap()
    }

    /// A user who was present leaves.
    pub(crate) async fn leaves(&mut self, user: &str) {
        self.present.retain(|present| present != user);
        self.left.push(user.to_owned());
        self.sockets.remove(user).unwrap().close(Some(1000)).await;
    }

    /// Every node says of every user within 3 s that it may be out of date.
    pub(crate) async fn is_stale(&mut self) {
        let before = self.recorders.now() - self.redis_failed;
        let ((), took) = timed(self.until_stale()).await;
        let took = before + took;
        assert!(took <= STALE_WITHIN, "said after {took:?}");
        self.take_cursors_of_outage().await;
        self.fault_of_redis_ends();
    }

    /// Every node says of these users that it may be out of date.
    pub(crate) async fn records_are_stale(&mut self, users: &[&str]) {
        let users: Vec<String> = users.iter().map(|user| (*user).to_owned()).collect();
        for rest in self.rests() {
            let told = records(&rest, &users).await;
            assert!(told.iter().all(|record| record["stale"] == true), "{told:?}");
        }
        self.take_cursors_of_outage().await;
    }

    /// Those of nodes that are out of date after it, too.
    async fn take_cursors_of_outage(&mut self) {
        for (cursor, node) in cursors_of(&self.cluster).await.into_iter().zip(self.cluster.nodes()) {
            let told = records(&node.rest(), &self.present).await;
            if told.iter().any(|record| record["stale"] == true) {
                self.cursors_of_outage.push(cursor);
            }
        }
    }

    async fn until_stale(&self) {
        let rests = self.rests();
        let mut current: Vec<BTreeSet<&String>> = vec![self.present.iter().collect(); rests.len()];
        wait_until("all say that they may be out of date", async || {
            for (rest, current) in rests.iter().zip(&mut current) {
                for record in records(rest, &self.present).await {
                    let record: Record = serde_json::from_value(record).unwrap();
                    if record.stale {
                        current.retain(|user| user.as_str() != record.user_id.as_str());
                    }
                }
            }
            current.iter().all(BTreeSet::is_empty).then_some(())
        })
        .await;
    }

    /// New clients: a node ends connections that are idle for long.
    fn rests(&self) -> [Rest; 3] {
        self.cluster.nodes().map(Daemon::rest)
    }

    /// Redis began a new epoch when the fault ended. Waits until whom no node has in it would be OFFLINE.
    pub(crate) async fn epoch_gets_old(&self) {
        self.took_little_time();
        let_time_pass(NOT_TAKEN_OVER_FOR).await;
    }

    /// All users, also those who have come or left.
    fn all(&self) -> Vec<String> {
        let undisturbed = self.undisturbed.iter().map(|(user, _)| user);
        let all = self
            .present
            .iter()
            .chain(&self.came)
            .chain(&self.left)
            .chain(undisturbed);
        all.cloned().collect()
    }
}

/// An observer of each node reads everything and leaves.
async fn cursors_of(cluster: &Cluster) -> Vec<HeldCursor> {
    let mut all = Vec::new();
    for (name, node) in NAMES.into_iter().zip(cluster.nodes()) {
        all.push(HeldCursor::take(name, node).await);
    }
    all
}

fn epochs(cluster: &Cluster) -> Vec<String> {
    let states = (0..cluster.partitions()).map(|number| format!("presence:{{{number}}}:state"));
    states
        .map(|state| cluster.command(&["HGET", &state, "\u{1}e"]))
        .collect()
}
