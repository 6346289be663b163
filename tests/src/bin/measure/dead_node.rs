//! Measures how a node with very many sessions that is killed is cleaned up by the others: when its users are OFFLINE, when
//! the database has that, and whether the other nodes and Redis answer meanwhile.

use std::process::ExitCode;
use std::time::Duration;

use presence_tests::bare_node::BareNode;
use presence_tests::clean_up::CleanUp;
use presence_tests::clock::Stopwatch;

use super::cluster::start;

/// The limits, with the default lease and grace: from the kill to the last OFFLINE, from the first one to the last, and of an
/// answer of a node, beyond what the machine takes from every program, or of Redis.
const OFFLINE_MAX: Duration = Duration::from_secs(30);
const CLEAN_UP_MAX: Duration = Duration::from_secs(10);
const STALL_MAX: Duration = Duration::from_millis(100);

/// Measures so many sessions.
pub(crate) async fn dead_node(sessions: usize) -> ExitCode {
    let cluster = start().await;
    let making = Stopwatch::start();
    let program = std::env::current_exe().unwrap();
    let node = BareNode::start(&program, &cluster, sessions).await;
    println!("a node           with {sessions} sessions in {:.1?}", making.elapsed());
    let clean_up = CleanUp::of(&cluster, node, sessions).await;
    println!("{clean_up}");
    super::missed(&[
        ("the last OFFLINE", clean_up.last, OFFLINE_MAX),
        ("the first to the last", clean_up.last - clean_up.first, CLEAN_UP_MAX),
        ("a record", clean_up.answer.beyond, STALL_MAX),
        ("a custom status", clean_up.write.beyond, STALL_MAX),
        ("a command of Redis", clean_up.command, STALL_MAX),
    ])
}
