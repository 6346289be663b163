//! A node that has sessions and nothing else: it registers in all partitions by the scripts of the real one, offers the
//! states of its users, and ticks. It has no sockets, so it may have more sessions than a process may open files. It is a
//! process of its own, to be killed.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use presence::replication::{CALL_USERS_MAX, FORMAT, Incarnation, NodeInfo, Share, State, Tick, partition_of};
use presence::{Activity, Contribution, Status, UserId, Wall};

use crate::Cluster;
use crate::clock::wall_now;
use crate::process::OwnedChild;
use crate::wait::{Ticker, within_deadline};

use self::resp::Connection;

mod resp;

const REGISTER: &str = include_str!("../../presenced/src/cluster/shared/scripts/register.lua");
const OFFER: &str = include_str!("../../presenced/src/cluster/shared/scripts/offer.lua");
const NOTE: &str = include_str!("../../presenced/src/cluster/shared/scripts/note.lua");
/// How many entries a real node keeps in a log.
const LOG_ENTRIES: &str = "10000";
/// Less than a real one's, a fifth of the lease: it must not die before it is killed.
const TICK_EVERY: Duration = Duration::from_millis(500);
/// What it says when its users are present.
const READY: &str = "ready";

const PREFIX: &str = "bare-";

/// The id of the user with this number.
pub fn user(number: usize) -> String {
    format!("{PREFIX}{number:06}")
}

/// Whether this is one of them.
pub fn is_user(id: &str) -> bool {
    id.starts_with(PREFIX)
}

/// The process of a bare node, killed when this is dropped.
#[derive(Debug)]
pub struct BareNode(OwnedChild);

impl BareNode {
    /// Starts `program bare-node …` with so many users, each with one connection. Returns when Redis has all of them.
    pub async fn start(program: &Path, cluster: &Cluster, users: usize) -> Self {
        let numbers = [cluster.database(), cluster.partitions(), users];
        let mut child = OwnedChild::spawn(
            Command::new(program)
                .args(["bare-node", &cluster.redis().socket_path().display().to_string()])
                .args(numbers.map(|number| number.to_string()))
                .stdin(Stdio::null())
                .stdout(Stdio::piped()),
        );
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let first_line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            line
        });
        let line = within_deadline("the bare node is ready", first_line).await.unwrap();
        assert_eq!(line.trim(), READY);
        Self(child)
    }

    /// Sends `SIGKILL`.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The program: registers, offers, and ticks until it is killed.
pub async fn run(socket: &str, database: &str, partitions: u16, users: usize) {
    let mut node = Registered::new(socket, database, users);
    for partition in 0..partitions {
        node.register(partition);
    }
    let mut split: Vec<Vec<UserId>> = vec![Vec::new(); usize::from(partitions)];
    for number in 0..users {
        let user = UserId::new(&user(number)).unwrap();
        split[usize::from(partition_of(&user, partitions))].push(user);
    }
    for (partition, users) in (0..).zip(&split) {
        for some in users.chunks(CALL_USERS_MAX) {
            node.offer(partition, some);
        }
        node.tick_all(partitions);
    }
    println!("{READY}");
    let mut ticker = Ticker::every(TICK_EVERY);
    loop {
        ticker.next().await;
        node.tick_all(partitions);
    }
}

struct Registered {
    connection: Connection,
    incarnation: Incarnation,
    ticks: u64,
    connections: u32,
}

impl Registered {
    fn new(socket: &str, database: &str, connections: usize) -> Self {
        let mut connection = Connection::new(UnixStream::connect(socket).unwrap());
        connection.call(&[b"SELECT", database.as_bytes()]);
        Self {
            connection,
            incarnation: Incarnation(getrandom::u64().unwrap()),
            ticks: 0,
            connections: u32::try_from(connections).unwrap(),
        }
    }

    fn register(&mut self, partition: u16) {
        let info = NodeInfo {
            name: "bare".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            format: FORMAT,
        };
        let arguments = [
            self.incarnation.to_string().into_bytes(),
            b"1".to_vec(),
            info.encode(),
            b"0000000000000001".to_vec(),
            b"0".to_vec(),
            LOG_ENTRIES.into(),
        ];
        self.run(REGISTER, partition, &["state", "log"], &arguments);
    }

    fn offer(&mut self, partition: u16, users: &[UserId]) {
        let state = self.state(wall_now()).encode();
        let mut arguments = self.caller();
        for user in users {
            let rest: [&[u8]; 6] = [user.as_str().as_bytes(), b"", b"0", b"P", b"", &state];
            arguments.extend(rest.map(<[u8]>::to_vec));
        }
        let keys = ["state", "log", "online", "custom-status", "new-custom-status"];
        let answer = self.run(OFFER, partition, &keys, &arguments);
        let taken = answer.iter().filter(|part| part.starts_with(b"+")).count();
        assert_eq!(taken, users.len(), "all are taken");
    }

    /// One connection that is active.
    fn state(&self, now: Wall) -> State {
        let share = Share {
            incarnation: self.incarnation,
            contribution: Contribution {
                connections: 1,
                open_activity: Activity::Active,
                ..Contribution::default()
            },
            grace_until: None,
            places: 0,
            sessions: Vec::new(),
            unknown: Vec::new(),
        };
        State {
            contributions: vec![share],
            status: Status::Online,
            since: Some(now),
            last_seen: Some(now),
            last_active: Some(now),
            ..State::default()
        }
    }

    fn tick_all(&mut self, partitions: u16) {
        self.ticks += 1;
        let tick = Tick {
            number: self.ticks,
            connections: self.connections,
            ..Tick::default()
        };
        for partition in 0..partitions {
            let mut arguments = self.caller();
            arguments.extend([b"tick".to_vec(), tick.encode()]);
            self.run(
                NOTE,
                partition,
                &["state", "log", "online", "custom-status"],
                &arguments,
            );
        }
    }

    fn caller(&self) -> Vec<Vec<u8>> {
        vec![
            self.incarnation.to_string().into_bytes(),
            b"1".to_vec(),
            LOG_ENTRIES.into(),
        ]
    }

    fn run(&mut self, script: &str, partition: u16, keys: &[&str], arguments: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let count = keys.len().to_string();
        let keys: Vec<String> = keys
            .iter()
            .map(|key| format!("presence:{{{partition}}}:{key}"))
            .collect();
        let mut command: Vec<&[u8]> = vec![b"EVAL", script.as_bytes(), count.as_bytes()];
        command.extend(keys.iter().map(String::as_bytes));
        command.extend(arguments.iter().map(Vec::as_slice));
        self.connection.call(&command)
    }
}
