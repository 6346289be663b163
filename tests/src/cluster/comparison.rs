//! Compares what nodes answer, byte for byte.

use std::time::Duration;

use crate::clock::Stopwatch;
use crate::connection_load::join_all;
use crate::daemon::Daemon;
use crate::keep_alive::KeepAlive;
use crate::wait::{DEADLINE, let_time_pass};

use super::Cluster;

/// Times that moved go with the next tick, which is every 3 s.
const TICKS_TELL_WITHIN: Duration = Duration::from_secs(5);
/// The times of a present user are told once a minute: one that a node missed while it read the state comes then.
const TIMES_TOLD_WITHIN: Duration = Duration::from_secs(70);
const LOOKS_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Who read users at once on each node to compare them.
const READERS: usize = 4;

impl Cluster {
    /// `GET /api/presence/{user}` is the same on all these nodes for each of the users, byte for byte but for `now`; after the
    /// next ticks, if these have times to tell.
    pub async fn is_same_everywhere<U: AsRef<str>>(nodes: &[&Daemon], users: &[U]) {
        let readers = READERS.min(users.len());
        let reading = (0..readers).map(|reader| async move {
            let mut connections = Vec::new();
            for node in nodes {
                connections.push(KeepAlive::connect(node).await);
            }
            for user in users.iter().skip(reader).step_by(readers) {
                is_the_same(&mut connections, user.as_ref()).await;
            }
        });
        join_all(reading).await;
    }
}

/// Each of these connections reads the same of the user, now or after the next ticks.
async fn is_the_same(connections: &mut [KeepAlive], user: &str) {
    let waiting = Stopwatch::start();
    let mut current = None;
    loop {
        let mut read = Vec::new();
        for connection in &mut *connections {
            let answer = connection.record(user).await;
            read.push(without(std::str::from_utf8(&answer).unwrap(), "now"));
        }
        if are_equal(&read) {
            return;
        }
        // A node that the machine gives no time says that it may be behind.
        if read.iter().any(|one| one.contains(r#""stale":true"#)) {
            assert!(waiting.elapsed() < 2 * DEADLINE, "still out of date: {read:#?}");
            current = None;
        } else {
            let current = current.get_or_insert_with(Stopwatch::start).elapsed();
            let timeless: Vec<String> = read.iter().map(|one| without(one, "lastSeen")).collect();
            let is_in_time = match are_equal(&timeless) {
                true => current < TIMES_TOLD_WITHIN,
                false => current < TICKS_TELL_WITHIN,
            };
            if !is_in_time {
                panic!("not the same: {read:#?}; {:#?}", explanations(connections, user).await);
            }
        }
        let_time_pass(LOOKS_AGAIN_AFTER).await;
    }
}

async fn explanations(connections: &mut [KeepAlive], user: &str) -> Vec<String> {
    let mut explanations = Vec::new();
    for connection in connections {
        let explanation = connection.explanation(user).await;
        explanations.push(String::from_utf8(explanation).unwrap());
    }
    explanations
}

fn are_equal(texts: &[String]) -> bool {
    texts.iter().all(|one| *one == texts[0])
}

/// The text of an answer without this time, if it has it.
fn without(text: &str, time: &str) -> String {
    let Some((before, after)) = text.split_once(&format!(r#""{time}":""#)) else {
        return text.to_owned();
    };
    let (_, after) = after.split_once("\",").expect("its end");
    format!("{before}{after}")
}
