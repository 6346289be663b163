//! `drain`: has a node of the cluster move its clients to the others, and shows how far it is; or has it take clients again.

use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use presence::wire::rest::{NodeStats, NodesResponse};
use serde::Serialize;
use tokio::time::interval;

use super::{Session, confirmation};
use crate::cli::Drain;
use crate::client::rest::Rest;
use crate::clock;
use crate::failure::Failure;
use crate::output::escape::{escape, quote};
use crate::output::{Cell, Column, HumanOutput, Report, TypedRows};

/// How often it is asked how far the node is. A node that drains tells the others once a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Within what time every node has heard of a drain: a partition of which a node hears nothing for 2 s is unreachable.
const HEARD_AFTER: Duration = Duration::from_secs(5);
/// How long no connection may go before it is said that the drain does not go on.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// How often a line says how far the node is, where a terminal has a bar.
const LINE_EVERY: Duration = Duration::from_secs(5);

const COLUMNS: [Column; 4] = [
    Column::needed("NODE", "node"),
    Column::needed("DRAINING", "draining"),
    Column::needed("CONNECTIONS", "connections"),
    Column::needed("MOVED", "moved"),
];

/// What became of the node and its clients.
#[derive(Debug, Serialize)]
struct DrainDocument<'a> {
    node: &'a str,
    draining: bool,
    connections: u64,
    moved: u64,
    seconds: f64,
}

pub(super) async fn run(session: &mut Session, args: &Drain) -> Result<(), Failure> {
    let rest = session.rest()?;
    let before = rest.nodes().await?;
    // Without a name it is the one that answers.
    let name = args.node.name.as_ref().unwrap_or(&before.node);
    let node = named(&before, name)?.clone();
    let begun = clock::instant();
    if args.cancel {
        rest.cancel_drain(name).await?;
    } else {
        if !node.draining {
            check_room(&before, &node, args)?;
        }
        rest.drain(name).await?;
    }
    let (left, most) = match args.cancel || args.no_wait {
        true => (node.connections, node.connections),
        false => wait(&rest, &node).await?,
    };
    let document = DrainDocument {
        node: name,
        draining: !args.cancel,
        connections: left,
        moved: most.saturating_sub(left),
        seconds: begun.elapsed().as_secs_f64(),
    };
    show(session, &document)
}

fn named<'a>(answer: &'a NodesResponse, name: &str) -> Result<&'a NodeStats, Failure> {
    let named = answer.nodes.iter().filter(|node| node.name == name);
    // Of several the dead ones are about to be no more.
    let silence = |node: &&NodeStats| Duration::try_from_secs_f64(node.last_tick_seconds.unwrap_or_default()).ok();
    named.min_by_key(silence).ok_or_else(|| {
        let names: Vec<String> = answer.nodes.iter().map(|node| escape(&node.name).to_string()).collect();
        Failure::failed(format_args!("there is no node {}", quote(name)))
            .next(format_args!("the nodes are: {}", names.join(", ")))
    })
}

/// Whoever drains a node though the others have no room for its clients must say so. No answer could help if no other one takes
/// clients.
fn check_room(answer: &NodesResponse, node: &NodeStats, args: &Drain) -> Result<(), Failure> {
    if !answer.takes_clients_beside(node) {
        let what = format!(
            "{} is not drained: no other node takes clients, so they would have nowhere to go",
            escape(&node.name)
        );
        let advice = "presencectl nodes shows which node drains: end that with presencectl drain NODE --cancel, or start another node";
        return Err(Failure::failed(what).next(advice));
    }
    let room = answer.room_beside(node);
    if room >= node.connections {
        return Ok(());
    }
    let name = escape(&node.name);
    let warning = format!(
        "{name} has {} and the other nodes take {room} more: clients beyond that are refused, and shown as OFFLINE \
         when the restart grace is over.",
        counted(node.connections)
    );
    if args.yes {
        let _ = writeln!(std::io::stderr(), "presencectl: {warning}");
        return Ok(());
    }
    confirmation::confirm_unless(false, &format!("{warning} Drain {name}?"))
}

/// Waits until the node has no connections, and shows how many are left. How many are, and how many there were at most.
async fn wait(rest: &Rest, node: &NodeStats) -> Result<(u64, u64), Failure> {
    let mut progress = DrainProgress::new(node);
    let waited = watch(rest, node, &mut progress).await;
    progress.finish();
    waited
}

/// The same: what is known of another node is of its last tick.
async fn watch(rest: &Rest, node: &NodeStats, progress: &mut DrainProgress<'_>) -> Result<(u64, u64), Failure> {
    let (mut most, mut least, mut since) = (node.connections, u64::MAX, Duration::ZERO);
    let mut was_draining = false;
    let mut looks = interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        since += LOOK_EVERY;
        let answer = match rest.nodes().await {
            Ok(answer) => answer,
            // The one that is asked may be away for a moment.
            Err(_) if since < STUCK_AFTER => continue,
            Err(failure) => return Err(failure.but("the node goes on draining")),
        };
        let now = answer.nodes.iter().find(|now| now.incarnation == node.incarnation);
        let Some(now) = now else {
            let left = least.min(most);
            let what = format!("{} has left the cluster with {}", escape(&node.name), counted(left));
            return Err(Failure::failed(what));
        };
        was_draining |= now.draining;
        // Behind a load balancer another node may be asked, which hears of the drain a little later.
        if !now.draining && (was_draining || since >= HEARD_AFTER) {
            let what = format!(
                "the drain of {} was cancelled with {} left",
                escape(&node.name),
                counted(now.connections)
            );
            return Err(Failure::failed(what));
        }
        if now.connections < least {
            (least, since) = (now.connections, Duration::ZERO);
        }
        most = most.max(now.connections);
        progress.show(now.connections, most);
        if now.connections == 0 {
            return Ok((0, most));
        }
        if since >= STUCK_AFTER {
            let what = format!(
                "{} left, and none of them went for {} s",
                counted(now.connections),
                STUCK_AFTER.as_secs()
            );
            return Err(Failure::failed(what).next("the node goes on draining; its log says how far it is"));
        }
    }
}

/// How far the node is, on stderr: a bar on a terminal, else a line now and then.
struct DrainProgress<'a> {
    node: &'a NodeStats,
    bar: ProgressBar,
    is_terminal: bool,
    quiet_for: Duration,
}

impl<'a> DrainProgress<'a> {
    fn new(node: &'a NodeStats) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = match is_terminal {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(node.connections), target);
        if let Ok(style) = ProgressStyle::with_template("draining [{bar:30}] {pos} of {len} moved") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self {
            node,
            bar,
            is_terminal,
            quiet_for: LINE_EVERY,
        }
    }

    fn show(&mut self, left: u64, most: u64) {
        self.bar.set_length(most);
        self.bar.set_position(most.saturating_sub(left));
        self.quiet_for += LOOK_EVERY;
        if !self.is_terminal && self.quiet_for >= LINE_EVERY && left > 0 {
            self.quiet_for = Duration::ZERO;
            let name = escape(&self.node.name);
            let _ = writeln!(
                std::io::stderr(),
                "presencectl: {name} has {left} of {} left",
                counted(most)
            );
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn show(session: &mut Session, document: &DrainDocument<'_>) -> Result<(), Failure> {
    let mut rows = TypedRows::new(&COLUMNS);
    rows.push(vec![
        Cell::Hostile(document.node.to_owned()),
        Cell::Text(if document.draining { "yes" } else { "no" }.to_owned()),
        Cell::Number(document.connections),
        Cell::Number(document.moved),
    ]);
    let report = Report {
        items: &[document],
        rows,
        human: HumanOutput::Text(sentence(document)),
        document,
    };
    session.output.show(clock::wall(), &report)
}

/// `1 connection`, `2 connections`.
fn counted(connections: u64) -> String {
    match connections {
        1 => "1 connection".to_owned(),
        more => format!("{more} connections"),
    }
}

fn sentence(document: &DrainDocument<'_>) -> String {
    let node = escape(document.node);
    match (document.draining, document.connections) {
        (false, _) => format!("{node} takes clients again\n"),
        (true, 0) => format!(
            "{node} is drained: {} moved in {:.1} s; it takes no clients until it is restarted, or `presencectl drain {node} --cancel`\n",
            counted(document.moved),
            document.seconds
        ),
        (true, left) => format!(
            "{node} drains {}; `presencectl nodes` shows how far it is\n",
            counted(left)
        ),
    }
}

#[cfg(test)]
mod tests {
    use presence::Wall;

    use super::*;
    use crate::cli::NodeToDrain;

    fn node(name: &str, connections: u64, capacity: u64, draining: bool) -> NodeStats {
        NodeStats {
            name: name.to_owned(),
            incarnation: format!("{name}{name}"),
            address: None,
            version: None,
            connections,
            capacity,
            draining,
            last_tick_seconds: Some(1.0),
            lag_seconds: None,
            error: None,
            error_code: None,
        }
    }

    fn answer(nodes: &[NodeStats]) -> NodesResponse {
        NodesResponse {
            now: Wall::from_millis(0),
            node: "a".to_owned(),
            nodes: nodes.to_vec(),
            tokens_digest: None,
        }
    }

    #[test]
    fn the_room_is_that_of_the_others_that_take_clients() {
        let room_beside = |answer: &NodesResponse, node| answer.room_beside(node);
        let a = node("a", 500, 1_000, false);
        let (b, c) = (node("b", 900, 1_000, false), node("c", 700, 1_000, false));
        assert_eq!(room_beside(&answer(&[a.clone(), b.clone(), c.clone()]), &a), 400);
        let draining = node("c", 0, 1_000, true);
        assert_eq!(room_beside(&answer(&[a.clone(), b, draining]), &a), 100);
        let full = node("b", 1_200, 1_000, false);
        assert_eq!(room_beside(&answer(&[a.clone(), full, c]), &a), 300);
        let silent = node("b", 0, 0, false);
        assert_eq!(room_beside(&answer(&[a.clone(), silent]), &a), 0);
        assert_eq!(room_beside(&answer(std::slice::from_ref(&a)), &a), 0);
    }

    #[test]
    fn the_last_node_that_takes_clients_is_refused_without_a_question() {
        let a = node("a", 500, 1_000, false);
        let refused = |others: &[NodeStats], yes| {
            let nodes = [std::slice::from_ref(&a), others].concat();
            let args = Drain {
                node: NodeToDrain {
                    name: Some("a".to_owned()),
                    is_asked: false,
                },
                cancel: false,
                no_wait: false,
                yes,
            };
            check_room(&answer(&nodes), &a, &args)
                .err()
                .map(|failure| failure.report())
        };
        let (draining, starting) = (node("b", 0, 1_000, true), node("c", 0, 0, false));
        for others in [vec![], vec![draining.clone()], vec![draining, starting]] {
            for yes in [false, true] {
                let report = refused(&others, yes).expect("a failure");
                assert!(report.contains("no other node takes clients"), "{report}");
            }
        }
        let full = node("b", 1_000, 1_000, false);
        assert_eq!(
            refused(std::slice::from_ref(&full), true),
            None,
            "a full one takes clients"
        );
        let asked = refused(&[full], false).expect("a question");
        assert!(asked.contains("--yes"), "{asked}");
        assert_eq!(refused(&[node("b", 0, 1_000, false)], false), None);
    }

    #[test]
    fn the_node_heard_of_last_is_meant_of_several_with_one_name() {
        let dead = NodeStats {
            incarnation: "dead".to_owned(),
            last_tick_seconds: Some(9.0),
            ..node("a", 3, 10, false)
        };
        let (a, b) = (node("a", 1, 10, false), node("b", 2, 10, false));
        let answer = answer(&[dead, a.clone(), b]);
        assert_eq!(named(&answer, "a").unwrap(), &a);
        let unknown = named(&answer, "c").unwrap_err().report();
        assert!(
            unknown.contains("there is no node") && unknown.contains("a, a, b"),
            "{unknown}"
        );
    }

    #[test]
    fn the_result_says_what_holds_from_now_on() {
        let document = |draining, connections| DrainDocument {
            node: "b",
            draining,
            connections,
            moved: 812 - connections,
            seconds: 1.63,
        };
        assert_eq!(sentence(&document(false, 812)), "b takes clients again\n");
        let drained = sentence(&document(true, 0));
        assert!(
            drained.starts_with("b is drained: 812 connections moved in 1.6 s;"),
            "{drained}"
        );
        assert!(sentence(&document(true, 12)).starts_with("b drains 12 connections;"));
        assert!(sentence(&document(true, 1)).starts_with("b drains 1 connection;"));
    }
}
