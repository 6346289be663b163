//! Nodes on a real Redis: the pure partition, its runner and the scripts together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use presence::replication::{Effect, Incarnation, Input, Knowledge, NodeInfo, Partition, Settings, Start};
use presence::{Activity, Contribution, Status, UserId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::inbox::Inbox;
use super::super::runner::Runner;
use super::server::{RedisServer, next_look};
use super::subject::user;
use crate::clock::Clock;

/// How long anything may take on a busy machine.
const WITHIN: Duration = Duration::from_secs(30);
const PARTITION: u16 = 3;

/// What a node tells its watchers.
type Shown = (UserId, Status);

struct Node {
    users: Arc<Mutex<HashMap<UserId, Knowledge>>>,
    inbox: Arc<Inbox>,
    shown: mpsc::UnboundedReceiver<Shown>,
    ready: tokio::sync::watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Node {
    fn start(server: &RedisServer, number: u64) -> Self {
        let servers = Arc::new(server.servers());
        let (inbox, users) = (
            Arc::<Inbox>::default(),
            Arc::<Mutex<HashMap<UserId, Knowledge>>>::default(),
        );
        let (tell, shown) = mpsc::unbounded_channel();
        let (be_ready, ready) = tokio::sync::watch::channel(false);
        let mut runner = Runner::new(PARTITION, servers, Arc::clone(&inbox));
        let known = Arc::clone(&users);
        let task = tokio::spawn(async move {
            let clock = Clock::new();
            let start = Start {
                own: Incarnation(number),
                previous: Vec::new(),
                node: NodeInfo {
                    name: format!("node-{number}"),
                    ..NodeInfo::default()
                },
                settings: settings(),
                seed: number,
            };
            let mut partition = Partition::new(start, clock.read());
            loop {
                // Nothing stalls this clock: no timer loop beats it.
                let _ = clock.beat();
                let event = runner.next(clock.mono(), partition.next_deadline()).await;
                let _ = clock.beat();
                let own = |user: &UserId| known.lock().get(user).cloned();
                let input = Input {
                    reading: clock.read(),
                    own: &own,
                };
                for effect in runner.handle(&mut partition, input, event).0 {
                    match effect {
                        Effect::Show { user, state, .. } => drop(tell.send((user, state.status))),
                        Effect::Ready => drop(be_ready.send(true)),
                        Effect::LoadPresent => partition.handle_present(input, Vec::new()),
                        Effect::LoadTimes(users) => partition.handle_stored_times(input, users, &[]),
                        _ => {}
                    }
                }
                let left = partition.take_effects();
                runner.carry_out(left);
            }
        });
        Self {
            users,
            inbox,
            shown,
            ready,
            task,
        }
    }

    async fn until_ready(&mut self) {
        let is_ready = self.ready.wait_for(|ready| *ready);
        tokio::time::timeout(WITHIN, is_ready)
            .await
            .expect("in time")
            .expect("the node runs");
    }

    fn connect(&self, name: &str) {
        let contribution = Contribution {
            connections: 1,
            open_activity: Activity::Active,
            ..Contribution::default()
        };
        let knowledge = Knowledge {
            contribution,
            ..Knowledge::default()
        };
        self.users.lock().insert(user(name), knowledge);
        self.inbox.touch(&user(name));
    }

    fn leave(&self, name: &str) {
        self.users.lock().remove(&user(name));
        self.inbox.touch(&user(name));
    }

    /// Waits until this is told of the user.
    async fn until_shown(&mut self, name: &str, status: Status) {
        let told = async {
            while let Some(shown) = self.shown.recv().await {
                if shown == (user(name), status) {
                    return;
                }
            }
            panic!("the node ended");
        };
        let waited = tokio::time::timeout(WITHIN, told).await;
        assert!(waited.is_ok(), "{name} is not told as {status:?}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A short lease, so that a node is found dead within the test.
fn settings() -> Settings {
    Settings {
        lease: Duration::from_secs(1),
        node_grace: Duration::from_secs(1),
        restart_grace: Duration::from_secs(30),
        command_kept: Duration::from_secs(3600),
        sessions_max: 32,
        without: &[],
    }
}

#[tokio::test]
async fn a_user_of_one_node_is_shown_on_the_other() {
    let server = RedisServer::start(&[]).await;
    let (mut a, mut b) = (Node::start(&server, 1), Node::start(&server, 2));
    a.until_ready().await;
    b.until_ready().await;
    a.connect("ann");
    a.until_shown("ann", Status::Online).await;
    b.until_shown("ann", Status::Online).await;
    a.leave("ann");
    b.until_shown("ann", Status::Offline).await;
}

#[tokio::test]
async fn users_of_a_dead_node_are_offline_on_the_others() {
    let server = RedisServer::start(&[]).await;
    let (mut a, mut b) = (Node::start(&server, 1), Node::start(&server, 2));
    a.until_ready().await;
    b.until_ready().await;
    a.connect("ann");
    b.connect("bob");
    b.until_shown("ann", Status::Online).await;
    drop(a);
    b.until_shown("ann", Status::Offline).await;
}

#[tokio::test]
async fn an_emptied_server_is_filled_again_without_an_offline() {
    let server = RedisServer::start(&[]).await;
    let (mut a, mut b) = (Node::start(&server, 1), Node::start(&server, 2));
    a.until_ready().await;
    b.until_ready().await;
    a.connect("ann");
    b.until_shown("ann", Status::Online).await;
    server.command(&["FLUSHALL"]).await;
    let filled = async {
        loop {
            let online: Vec<String> = server.read(&["SMEMBERS", "presence:{3}:online"]).await;
            if online == ["ann"] {
                return;
            }
            next_look().await;
        }
    };
    tokio::time::timeout(WITHIN, filled).await.expect("in time");
    b.connect("bob");
    // All that was told meanwhile came before this.
    while let Some((who, status)) = b.shown.recv().await {
        assert_ne!((who.as_str(), status), ("ann", Status::Offline));
        if who == user("bob") {
            break;
        }
    }
}
