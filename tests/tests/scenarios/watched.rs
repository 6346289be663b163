//! A cluster whose Redis is to fail, with users on all nodes: what was told of them and answered about them meanwhile, and what
//! that cost.

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
use presence_tests::wait::{let_time_pass, timed, wait_until};
use presence_tests::{DEADLINE, Daemon, Rest, Socket};
use serde_json::Value;

use crate::scene::all_is_well;

/// Users with a connection on each node, who stay.
const STAYING: usize = 30;
/// How often each node is asked of all users.
const POLL: Duration = Duration::from_secs(1);
/// No answer of REST takes longer, whatever Redis does.
const ANSWERED_WITHIN: Duration = Duration::from_millis(600);
/// A fault is told within this time.
const STALE_WITHIN: Duration = Duration::from_secs(3);
/// Once a fault is over, all is right within this time.
const RIGHT_WITHIN: Duration = Duration::from_secs(10);
/// For how long users whom no node has in a new epoch are shown as before: a lease (15 s), 5 s and a node's grace (12 s), and a
/// second in which nodes clean up. With the quiet at the end this is exceeded by far.
const NOT_TAKEN_OVER_FOR: Duration = Duration::from_secs(33);
/// How much of one core a node takes at most while Redis fails.
const CORE_MAX: f64 = 0.2;
/// How many partitions there are by default.
const PARTITIONS: usize = 16;
/// The names of the nodes.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// The cluster, with its users.
pub(crate) struct Watched {
    pub(crate) cluster: Cluster,
    pub(crate) recorders: Recorders,
    clock: Stopwatch,
    /// Who is present all the time.
    pub(crate) present: Vec<String>,
    /// Who has come, and who has left, since the fault began.
    came: Vec<String>,
    left: Vec<String>,
    pub(crate) sockets: BTreeMap<String, Socket>,
    pollers: Vec<Poller>,
    /// When Redis began to fail, and until when it did at least, once that was noticed.
    redis_failed: Duration,
    redis_failed_until: Option<Duration>,
    /// When the fault began, and what each node's process was and had taken by then.
    begun: Duration,
    processes: Vec<(i32, Duration)>,
}

impl Watched {
    /// Starts the nodes on this Redis, with their users.
    pub(crate) async fn start(postgres: &PostgresServer, redis: RedisServer) -> Self {
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
        recorders.all_show(&present, Status::Online, RIGHT_WITHIN * 3).await;
        Self {
            cluster,
            recorders,
            clock,
            present,
            came: Vec::new(),
            left: Vec::new(),
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

    /// Each node refuses to end sessions, which the others would not be told of.
    pub(crate) async fn commands_are_refused(&self) {
        for rest in self.rests() {
            let answer = rest.try_kick("a-1").await;
            assert_eq!(answer.status, 503, "{}", answer.body);
            assert_eq!(rest.get("/readyz").await.status, 200);
        }
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
        self.fault_of_redis_ends();
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

    /// The fault ended just now: within 10 s all is right on all nodes, and in the set for other services.
    pub(crate) async fn is_right_again(&self) {
        let ((), took) = timed(self.until_right()).await;
        assert!(took <= RIGHT_WITHIN, "right after {took:?}");
    }

    async fn until_right(&self) {
        let rests = self.rests();
        wait_until("no node says that it may be out of date", async || {
            for rest in &rests {
                let ready = rest.get("/readyz").await;
                if ready.status != 200 || ready.body["warnings"].to_string().contains("Redis") {
                    return None;
                }
            }
            Some(())
        })
        .await;
        self.recorders.all_show(&self.left, Status::Offline, DEADLINE).await;
        self.recorders.all_show(&self.came, Status::Online, DEADLINE).await;
        self.until_the_same(&rests).await;
        self.until_online_is_exact().await;
    }

    /// Each user is the same on all nodes, byte for byte, and none is in doubt.
    async fn until_the_same(&self, rests: &[Rest]) {
        let users = self.all();
        let mut differ: Vec<usize> = (0..users.len()).collect();
        wait_until("all users are the same on all nodes", async || {
            let mut all = Vec::new();
            for rest in rests {
                all.push(records(rest, &users).await);
            }
            differ.retain(|user| {
                let [first, others @ ..] = all.as_slice() else {
                    return true;
                };
                let first = &first[*user];
                let is_in_doubt = first["stale"] == true || first["degraded"] == true;
                is_in_doubt || others.iter().any(|records| records[*user] != *first)
            });
            differ.is_empty().then_some(())
        })
        .await;
    }

    /// The set for other services has those who are present.
    async fn until_online_is_exact(&self) {
        let keys: Vec<String> = (0..PARTITIONS)
            .map(|number| format!("presence:{{{number}}}:online"))
            .collect();
        let command: Vec<&str> = std::iter::once("SUNION")
            .chain(keys.iter().map(String::as_str))
            .collect();
        let present = self.present.iter().chain(&self.came);
        let present: BTreeSet<&str> = present.map(String::as_str).collect();
        wait_until("the set of those who are present is exact", async || {
            let members = self.cluster.ask(&command).await;
            (members.split_whitespace().collect::<BTreeSet<_>>() == present).then_some(())
        })
        .await;
    }

    /// Redis began a new epoch when the fault ended. Waits until whom no node has in it would be OFFLINE.
    pub(crate) async fn epoch_gets_old(&self) {
        self.took_little_time();
        let_time_pass(NOT_TAKEN_OVER_FOR).await;
    }

    /// All users, also those who have come or left.
    fn all(&self) -> Vec<String> {
        let all = self.present.iter().chain(&self.came).chain(&self.left);
        all.cloned().collect()
    }

    /// Nobody who stayed or moved was told or shown to be away since the fault began, nor is for some quiet after it; every
    /// request was answered in time, and no node was restarted or busy.
    pub(crate) async fn made_no_event(&self) {
        self.took_little_time();
        all_is_well(&self.recorders, &self.cluster.nodes(), &self.all()).await;
        let now = self.recorders.now();
        self.recorders.no_change(&self.present, self.begun);
        match self.redis_failed_until {
            Some(until) => self.recorders.were_stale_once(self.redis_failed, until).await,
            None => self.recorders.are_current(self.begun).await,
        }
        for poller in &self.pollers {
            poller.was_answered_but_for(&[]);
            poller.never(&self.present, Status::Offline, self.begun, now);
            let longest = poller.latencies(self.begun, now).pop().unwrap();
            assert!(longest <= ANSWERED_WITHIN, "an answer took {longest:?}");
        }
    }

    /// No node was restarted, or busy since the fault began.
    fn took_little_time(&self) {
        let period = self.recorders.now() - self.begun;
        for ((before, taken_before), (after, taken)) in self.processes.iter().zip(self.processes()) {
            assert_eq!(*before, after, "a node was restarted");
            let share = (taken - *taken_before).as_secs_f64() / period.as_secs_f64();
            assert!(share < CORE_MAX, "{share:.3} of a core over {period:?}");
        }
    }
}

/// What a node answers of these users, but for `now`.
async fn records(rest: &Rest, users: &[String]) -> Vec<Value> {
    let mut answer: Value = rest.query(users).await.ok();
    serde_json::from_value(answer["users"].take()).unwrap()
}
