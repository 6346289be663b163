//! `nodes`: the nodes of the cluster, as the one that is asked sees them.

use std::collections::BTreeSet;

use presence::wire::rest::{NodeStats, NodesResponse};

use super::Session;
use crate::failure::Failure;
use crate::output::escape::escape;
use crate::output::{Cell, Column, HumanOutput, Report, TypedRows};

const COLUMNS: [Column; 9] = [
    Column::needed("NODE", "name"),
    Column::extra("ADDRESS", "address"),
    Column::needed("VERSION", "version"),
    Column::needed("CONNECTIONS", "connections"),
    Column::extra("CAPACITY", "capacity"),
    Column::extra("DRAINING", "draining"),
    Column::needed("LAST TICK (s)", "lastTickSeconds"),
    Column::needed("LAG (ms)", "lagMilliseconds"),
    Column::extra("INCARNATION", "incarnation"),
];

pub(super) async fn run(session: &mut Session) -> Result<(), Failure> {
    let answer = session.rest()?.nodes().await?;
    let report = Report {
        rows: rows(&answer.nodes),
        items: &answer.nodes,
        human: HumanOutput::Table {
            above: String::new(),
            below: summary(&answer),
        },
        document: &answer,
    };
    session.output.show(answer.now, &report)
}

fn rows(nodes: &[NodeStats]) -> TypedRows {
    let hostile = |text: &Option<String>| text.clone().map_or(Cell::Empty, Cell::Hostile);
    let decimal = |number: Option<f64>| number.map_or(Cell::Empty, Cell::Decimal);
    let mut rows = TypedRows::new(&COLUMNS);
    for node in nodes {
        rows.push(vec![
            Cell::Hostile(node.name.clone()),
            hostile(&node.address),
            hostile(&node.version),
            Cell::Number(node.connections),
            Cell::Number(node.capacity),
            match node.draining {
                true => Cell::Text("yes".to_owned()),
                false => Cell::Empty,
            },
            decimal(node.last_tick_seconds),
            decimal(node.lag_seconds.map(|seconds| seconds * 1000.0)),
            Cell::Hostile(node.incarnation.clone()),
        ]);
    }
    rows
}

/// How many there are, which of them answered, and what an operator should see at once.
fn summary(answer: &NodesResponse) -> String {
    let own = escape(&answer.node);
    let is_alone = answer.nodes.iter().all(|node| node.last_tick_seconds.is_none());
    let count = match (answer.nodes.len(), is_alone) {
        (1, true) => return format!("{own} is alone: no --redis\n"),
        (1, false) => "1 node".to_owned(),
        (count, _) => format!("{count} nodes"),
    };
    let versions: BTreeSet<&str> = answer
        .nodes
        .iter()
        .map(|node| node.version.as_deref().unwrap_or("one that it can't read"))
        .collect();
    let versions: Vec<_> = versions.into_iter().map(escape).collect();
    let mixed = match versions.len() {
        0 | 1 => String::new(),
        _ => format!("; versions differ: {}", versions.join(", ")),
    };
    format!("{count}, as {own} sees them{mixed}\n")
}

#[cfg(test)]
mod tests {
    use presence::Wall;

    use super::*;

    fn node(name: &str, version: Option<&str>, tick: Option<f64>) -> NodeStats {
        NodeStats {
            name: name.to_owned(),
            incarnation: "00000000000000a7".to_owned(),
            address: Some("10.0.0.1:7420".to_owned()),
            version: version.map(str::to_owned),
            connections: 12,
            capacity: 900,
            draining: false,
            last_tick_seconds: tick,
            lag_seconds: tick.map(|_| 0.0042),
            error: None,
            error_code: None,
        }
    }

    fn answer(nodes: Vec<NodeStats>) -> NodesResponse {
        NodesResponse {
            now: Wall::from_millis(0),
            node: "a".to_owned(),
            nodes,
            tokens_digest: None,
        }
    }

    #[test]
    fn each_node_is_a_row_with_its_figures() {
        let mut csv = Vec::new();
        let mut nodes = [node("a", Some("0.1.0"), Some(1.25)), node("b", None, None)];
        nodes[0].draining = true;
        rows(&nodes).write_csv_rows(&mut csv).unwrap();
        assert_eq!(
            String::from_utf8(csv).unwrap(),
            "a,10.0.0.1:7420,0.1.0,12,900,yes,1.2,4.2,00000000000000a7\nb,10.0.0.1:7420,,12,900,,,,00000000000000a7\n"
        );
    }

    #[test]
    fn the_summary_names_the_node_that_answered_and_mixed_versions() {
        let (a, b) = (node("a", Some("0.1.0"), Some(1.0)), node("b", Some("0.2.0"), Some(1.0)));
        assert_eq!(
            summary(&answer(vec![node("a", Some("0.1.0"), None)])),
            "a is alone: no --redis\n"
        );
        assert_eq!(summary(&answer(vec![a.clone()])), "1 node, as a sees them\n");
        assert_eq!(
            summary(&answer(vec![a.clone(), b])),
            "2 nodes, as a sees them; versions differ: 0.1.0, 0.2.0\n"
        );
        assert_eq!(summary(&answer(vec![a.clone(), a])), "2 nodes, as a sees them\n");
    }

    #[test]
    fn a_hostile_name_of_a_node_is_escaped() {
        let mut hostile = answer(vec![
            node("a", Some("0.1\u{1b}[2J"), Some(1.0)),
            node("b", None, Some(1.0)),
        ]);
        hostile.node = "a\u{7}".to_owned();
        let text = summary(&hostile);
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }
}
