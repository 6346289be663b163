//! How the other nodes clean up after a node that was killed.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use presence::Status;
use presence::wire::record::Update;
use presence::wire::server_message::ServerMessage;
use serde_json::json;

use crate::bare_node::{BareNode, is_user, user};
use crate::clock::Stopwatch;
use crate::cluster_cost::Cpu;
use crate::connection_load::join_all;
use crate::responsiveness::{Longest, Responsiveness};
use crate::wait::{wait_for, within};
use crate::{Cluster, Daemon, Socket};

/// How long everything may take on a busy machine; what it must take is asserted by who asks.
const WITHIN: Duration = Duration::from_secs(180);
/// Users whose records are read meanwhile: so many that they are in all partitions.
const ASKED: usize = 64;
/// Users whose custom statuses are set meanwhile.
const WRITTEN: usize = 64;
/// What takes Redis longer is noted, in ms.
const NOTED_FROM: &str = "5";

/// What it took.
#[derive(Debug)]
pub struct CleanUp {
    /// From the kill to the first OFFLINE and to the last one on the last node.
    pub first: Duration,
    pub last: Duration,
    /// From the kill to when the database had all records and the state of Redis none of the users.
    pub gone: Duration,
    /// What the nodes used of the CPU from the kill to then.
    pub cpu: Cpu,
    /// The longest answers of the nodes meanwhile.
    pub answer: Longest,
    /// The same of custom statuses that are set until then.
    pub write: Longest,
    /// The longest command of Redis; 0 if it was too short to be noted.
    pub command: Duration,
}

impl CleanUp {
    /// Kills the node, and waits until the others have cleaned up.
    pub async fn of(cluster: &Cluster, node: BareNode, sessions: usize) -> Self {
        let nodes = cluster.nodes();
        let mut observers = join_all(nodes.map(|node| observer(node, sessions))).await;
        let asked: Vec<String> = (0..ASKED).map(|number| user(number * sessions / ASKED)).collect();
        let watched = nodes.map(|node| Responsiveness::watch(node, asked.clone()));
        let written: Vec<String> = (0..WRITTEN).map(|number| format!("chosen-{number}")).collect();
        let writing = nodes.map(|node| Responsiveness::watch_writes(node, written.clone()));
        cluster.command(&["CONFIG", "SET", "latency-monitor-threshold", NOTED_FROM]);
        cluster.command(&["LATENCY", "RESET"]);
        let (clock, before) = (Stopwatch::start(), Cpu::of(cluster));
        node.kill();
        let told = join_all(
            observers
                .iter_mut()
                .map(|observer| all_offline(observer, sessions, clock)),
        );
        let told = within("all users of the dead node are OFFLINE", WITHIN, told).await;
        let writes = take_longest(&writing);
        drop(writing);
        wait_for("the state has none of them", WITHIN, async || {
            (left_in_state(cluster) == 0).then_some(())
        })
        .await;
        Self {
            first: told.iter().map(|(first, _)| *first).min().unwrap(),
            last: told.iter().map(|(_, last)| *last).max().unwrap(),
            gone: clock.elapsed(),
            cpu: Cpu::of(cluster).since(before),
            answer: take_longest(&watched),
            write: writes,
            command: longest_in_redis(cluster),
        }
    }
}

impl fmt::Display for CleanUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "OFFLINE          from {:.1?} to {:.1?} after the kill, on the last node",
            self.first, self.last
        )?;
        writeln!(f, "in the database  and out of Redis after {:.1?}", self.gone)?;
        writeln!(
            f,
            "CPU until then   {:.1?} of 3 nodes together, {:.1?} of Redis",
            self.cpu.nodes, self.cpu.redis
        )?;
        writeln!(f, "a record         {}", self.answer)?;
        writeln!(f, "a custom status  {}", self.write)?;
        write!(f, "Redis            the longest command {:.1?}", self.command)
    }
}

fn take_longest(watched: &[Responsiveness]) -> Longest {
    let answers = watched.iter().map(Responsiveness::take_longest);
    answers.reduce(Longest::max).unwrap()
}

async fn observer(node: &Daemon, sessions: usize) -> Socket {
    let mut observer = node.observer().await;
    wait_for("the node has all users", WITHIN, async || {
        let counts = node.rest().list("?limit=1").await.counts;
        (counts.online as usize == sessions).then_some(())
    })
    .await;
    observer.snapshot(json!({"type": "watchAll"})).await;
    observer
}

/// Reads until so many are OFFLINE. When the first and the last one were told.
async fn all_offline(observer: &mut Socket, sessions: usize, clock: Stopwatch) -> (Duration, Duration) {
    let (mut offline, mut first) = (HashSet::new(), None);
    while offline.len() < sessions {
        let message = observer.next_without_deadline().await.unwrap();
        let ServerMessage::Presence { users, .. } = message else {
            continue;
        };
        // Not those whose custom statuses are set meanwhile.
        let told = users.into_iter().filter_map(|update| match update {
            Update::Record(record) if record.status == Status::Offline => Some(record.user_id.as_str().to_owned()),
            Update::Record(_) | Update::Removed(_) => None,
        });
        offline.extend(told.filter(|user| is_user(user)));
        first = first.or((!offline.is_empty()).then(|| clock.elapsed()));
    }
    (first.unwrap_or_default(), clock.elapsed())
}

/// Above so many fields there are users among them.
const SEARCHED_MAX: usize = 100;

/// How many users the state of Redis has, over all partitions.
fn left_in_state(cluster: &Cluster) -> usize {
    let of_partition = |number: usize| {
        let key = format!("presence:{{{number}}}:state");
        let fields: usize = cluster.command(&["HLEN", &key]).parse().unwrap();
        if fields > SEARCHED_MAX {
            return fields;
        }
        // The partition's own fields begin with a control character.
        let names = cluster.command(&["HKEYS", &key]);
        names.lines().filter(|name| !name.starts_with(char::is_control)).count()
    };
    (0..cluster.partitions()).map(of_partition).sum()
}

/// The longest time in which Redis did nothing else; 0 if that was below the threshold.
fn longest_in_redis(cluster: &Cluster) -> Duration {
    // Four lines for each kind of event: its name, when it was last, how long that took, and the longest, in ms.
    let events = cluster.command(&["LATENCY", "LATEST"]);
    let lines: Vec<&str> = events.lines().collect();
    let longest = lines
        .chunks_exact(4)
        .filter_map(|event| event[3].trim().parse().ok())
        .max();
    Duration::from_millis(longest.unwrap_or(0))
}
