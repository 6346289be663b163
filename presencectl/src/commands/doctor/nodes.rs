//! Checks of the nodes of a cluster, as the daemon that is asked sees them.

use std::collections::BTreeMap;
use std::time::Duration;

use presence::wire::rest::{ClusterStats, NodeErrorCode, NodeStats, NodesResponse};

use super::Check;
use crate::output::time::length;

/// The checks of the nodes: what is wrong with some of them, or that all is well.
pub(super) fn check(cluster: &ClusterStats) -> Vec<Check> {
    let found: Vec<Check> = [
        versions(cluster),
        silent(cluster),
        lagging(cluster),
        namesakes(cluster),
        unadvertised(cluster),
        capacity(cluster),
    ]
    .into_iter()
    .flatten()
    .collect();
    match found.is_empty() {
        true => vec![well(cluster)],
        false => found,
    }
}

/// Whether all nodes answer the one that was asked, and so have the same internal secret, and accept the same tokens of users.
pub(super) fn check_answers(answer: &NodesResponse) -> Vec<Check> {
    let with_error = answer.nodes.iter().filter(|node| node.error.is_some());
    let with_error = with_error.filter(|node| !node.has_no_way(&answer.nodes));
    let has = |code| move |node: &&NodeStats| node.error_code == Some(code);
    // An older version has no codes.
    let is_told = |node: &&NodeStats| {
        let error = node.error.as_deref().filter(|_| node.error_code.is_none());
        error.is_some_and(|error| error.contains("secret"))
    };
    let is_stranger = |node: &&NodeStats| has(NodeErrorCode::OtherSecret)(node) || is_told(node);
    let (strangers, others): (Vec<_>, Vec<_>) = with_error.partition(is_stranger);
    let (differing, others): (Vec<_>, Vec<_>) = others.into_iter().partition(has(NodeErrorCode::OtherTokens));
    let (unwilling, silent): (Vec<_>, Vec<_>) = others.into_iter().partition(has(NodeErrorCode::NotAccepted));
    let names = |nodes: &[&NodeStats]| {
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        names.join(", ")
    };
    let mut checks = Vec::new();
    if !strangers.is_empty() {
        let found = format!(
            "not the same internal secret as {} on {}: what one node of the cluster accepts, another rejects",
            answer.node,
            names(&strangers)
        );
        checks.push(Check::fail("secrets", found).fix("give all nodes the same --secret-file and --jwt-key"));
    }
    if !differing.is_empty() {
        let found = format!(
            "not the same tokens of users are accepted on {} as on {}",
            names(&differing),
            answer.node
        );
        checks.push(Check::warn("tokens", found).fix(
            "give all nodes the same --jwt-key, --jwt-issuer and --jwt-audience; it does no harm if no user has a token",
        ));
    }
    if !unwilling.is_empty() {
        let found = format!(
            "{} did not accept what {} asked (421): of an older version, or with another internal secret",
            names(&unwilling),
            answer.node
        );
        checks.push(Check::warn("address", found).fix(
            "finish the upgrade if the nodes have different versions, else give all nodes the same --secret-file; until then \
             `explain` only counts the sessions there",
        ));
    }
    if !silent.is_empty() {
        let why = |node: &&NodeStats| format!("{}: {}", node.name, node.error.as_deref().unwrap_or_default());
        let named: Vec<String> = silent.iter().map(why).collect();
        let found = format!(
            "{} does not reach every node over HTTP: {}",
            answer.node,
            named.join("; ")
        );
        checks.push(Check::warn("address", found).fix(
            "let the nodes reach each other's port, at the address that `presencectl nodes` shows (--advertise); until then \
             `explain` only counts the sessions there",
        ));
    }
    checks
}

fn well(cluster: &ClusterStats) -> Check {
    let nodes = match cluster.nodes.len() {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
    };
    let version = cluster.nodes.iter().find_map(|node| node.version.as_deref());
    let oldest = longest(cluster, |node| node.last_tick_seconds);
    let lag = longest(cluster, |node| node.lag_seconds);
    Check::ok(
        "nodes",
        format!(
            "{nodes} of version {}, the oldest last tick {} ago, lag at most {}",
            version.unwrap_or("unknown"),
            length(oldest),
            length(lag)
        ),
    )
}

fn longest(cluster: &ClusterStats, of: impl Fn(&NodeStats) -> Option<f64>) -> Duration {
    let seconds = cluster.nodes.iter().filter_map(of).fold(0.0, f64::max);
    duration(seconds)
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn versions(cluster: &ClusterStats) -> Option<Check> {
    let mut by_version: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in &cluster.nodes {
        let version = node.version.as_deref().unwrap_or("an unknown version");
        by_version.entry(version).or_default().push(&node.name);
    }
    let parts: Vec<String> = by_version
        .iter()
        .map(|(version, names)| format!("{version} on {}", names.join(", ")))
        .collect();
    (parts.len() > 1).then(|| {
        Check::warn(
            "versions",
            format!("the nodes have different versions: {}", parts.join("; ")),
        )
        .fix("finish the upgrade: restart the older nodes one after the other with the newer version")
    })
}

fn silent(cluster: &ClusterStats) -> Option<Check> {
    let named = named(cluster, |node| {
        node.last_tick_seconds.filter(|_| cluster.is_silent(node))
    });
    (!named.is_empty()).then(|| {
        Check::warn(
            "nodes",
            format!(
                "no tick was read for long: {named}; a node is declared dead after {}",
                length(duration(cluster.lease_seconds))
            ),
        )
        .fix("look at those nodes, and whether they reach Redis: `presencectl doctor --server` on each")
    })
}

fn lagging(cluster: &ClusterStats) -> Option<Check> {
    let named = named(cluster, |node| node.lag_seconds.filter(|_| node.lags()));
    (!named.is_empty()).then(|| {
        Check::warn("lag", format!("ticks take long through the log in Redis and back: {named}")).fix(
            "find what is slow: CPU of Redis (one core), its slow log (`redis-cli slowlog get`), CPU of the nodes, or the network",
        )
    })
}

/// The nodes of which a figure is too high, with that.
fn named(cluster: &ClusterStats, of: impl Fn(&NodeStats) -> Option<f64>) -> String {
    let named: Vec<String> = cluster
        .nodes
        .iter()
        .filter_map(|node| Some(format!("{} ({})", node.name, length(duration(of(node)?)))))
        .collect();
    named.join(", ")
}

/// Two runs with one name: the earlier one is about to be declared dead, or two nodes are called the same.
fn namesakes(cluster: &ClusterStats) -> Option<Check> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in &cluster.nodes {
        *counts.entry(&node.name).or_default() += 1;
    }
    let twice: Vec<&str> = counts.iter().filter(|one| *one.1 > 1).map(|one| *one.0).collect();
    (!twice.is_empty()).then(|| {
        Check::warn("nodes", format!("registered more than once: {}", twice.join(", ")))
            .fix("an earlier run is declared dead after a lease; if it stays, give each node a --node-name of its own")
    })
}

/// Nodes that the others can't ask for the sessions of a user. One alone is asked by none.
fn unadvertised(cluster: &ClusterStats) -> Option<Check> {
    let named: Vec<String> = cluster
        .nodes
        .iter()
        .filter(|node| node.has_no_way(&cluster.nodes))
        .map(|node| format!("{} ({})", node.name, node.address.as_deref().unwrap_or_default()))
        .collect();
    (cluster.nodes.len() > 1 && !named.is_empty()).then(|| {
        let found = format!(
            "the other nodes can't reach {}, so that `explain` there only counts their sessions",
            named.join(", ")
        );
        Check::warn("address", found)
            .fix("start them with --advertise http://HOST:PORT, an address that leads to the node from the others")
    })
}

/// The clients of each node must have room on the others when it stops.
fn capacity(cluster: &ClusterStats) -> Option<Check> {
    if cluster.nodes.len() < 2 {
        return None;
    }
    let largest = cluster.nodes.iter().max_by_key(|node| node.connections)?;
    let room = cluster.room_beside(largest);
    (room < largest.connections).then(|| {
        let found = format!(
            "the other nodes have room for {room} of the {} clients of {}",
            largest.connections, largest.name
        );
        Check::warn("capacity", found).fix("add a node, or raise --max-connections and the limit on open files")
    })
}

#[cfg(test)]
mod tests {
    use presence::Wall;

    use super::*;
    use crate::commands::doctor::Outcome;

    fn node(name: &str, version: &str, tick: f64, lag: f64) -> NodeStats {
        NodeStats {
            name: name.to_owned(),
            incarnation: format!("{name:0>16}"),
            version: Some(version.to_owned()),
            last_tick_seconds: Some(tick),
            lag_seconds: Some(lag),
            ..NodeStats::default()
        }
    }

    fn checks(nodes: Vec<NodeStats>) -> Vec<(&'static str, Outcome, String, bool)> {
        let cluster = ClusterStats {
            partitions: 16,
            stale_partitions: 0,
            lease_seconds: 15.0,
            nodes,
            redis: Vec::new(),
        };
        let checks = check(&cluster).into_iter();
        checks
            .map(|check| (check.name, check.result, check.found, check.fix.is_some()))
            .collect()
    }

    #[test]
    fn nodes_of_one_version_that_tick_are_well() {
        let found = checks(vec![node("a", "1.0", 2.9, 0.004), node("b", "1.0", 1.0, 0.002)]);
        let text = "2 nodes of version 1.0, the oldest last tick 2s ago, lag at most 4ms".to_owned();
        assert_eq!(found, [("nodes", Outcome::Ok, text, false)]);
    }

    #[test]
    fn mixed_versions_are_named_with_their_nodes() {
        let found = checks(vec![
            node("a", "1.0", 1.0, 0.0),
            node("b", "1.1", 1.0, 0.0),
            node("c", "1.0", 1.0, 0.0),
        ]);
        let text = "the nodes have different versions: 1.0 on a, c; 1.1 on b".to_owned();
        assert_eq!(found, [("versions", Outcome::Warn, text, true)]);
    }

    #[test]
    fn a_node_that_missed_two_ticks_is_named() {
        let [(name, result, text, has_fix)] = checks(vec![node("a", "1.0", 8.9, 0.0), node("b", "1.0", 9.5, 0.0)])
            .try_into()
            .unwrap();
        assert_eq!((name, result, has_fix), ("nodes", Outcome::Warn, true));
        assert!(
            text.contains("b (9s)") && text.contains("after 15s") && !text.contains("a ("),
            "{text}"
        );
    }

    #[test]
    fn a_node_that_lags_is_named() {
        let [(name, result, text, has_fix)] = checks(vec![node("a", "1.0", 1.0, 1.5), node("b", "1.0", 1.0, 0.9)])
            .try_into()
            .unwrap();
        assert_eq!((name, result, has_fix), ("lag", Outcome::Warn, true));
        assert!(text.ends_with("a (1s)"), "{text}");
    }

    #[test]
    fn a_node_whose_clients_have_no_room_elsewhere_is_named() {
        let with = |name: &str, connections, capacity, draining| NodeStats {
            connections,
            capacity,
            draining,
            ..node(name, "1.0", 1.0, 0.0)
        };
        let found = |nodes: Vec<NodeStats>| checks(nodes).remove(0);
        let (a, b) = (with("a", 800, 1_000, false), with("b", 500, 1_000, false));
        let (name, result, text, has_fix) = found(vec![a.clone(), b.clone()]);
        assert_eq!((name, result, has_fix), ("capacity", Outcome::Warn, true));
        assert_eq!(text, "the other nodes have room for 500 of the 800 clients of a");
        let c = with("c", 0, 1_000, false);
        assert_eq!(found(vec![a.clone(), b.clone(), c.clone()]).1, Outcome::Ok);
        let draining = NodeStats { draining: true, ..c };
        assert_eq!(found(vec![a.clone(), b, draining]).0, "capacity");
        let starts = found(vec![a.clone(), with("b", 0, 0, false)]);
        assert_eq!(
            starts.2, "the other nodes have room for 0 of the 800 clients of a",
            "it does not listen yet"
        );
        assert_eq!(found(vec![a]).1, Outcome::Ok, "there is no other node");
    }

    #[test]
    fn nodes_that_the_others_can_not_reach_are_named() {
        let at = |name: &str, address: &str| NodeStats {
            address: Some(address.to_owned()),
            ..node(name, "1.0", 1.0, 0.0)
        };
        let (a, b, c) = (at("a", "0.0.0.0:7420"), at("b", "10.0.0.2:7420"), at("c", "[::]:7420"));
        let [(name, result, text, has_fix)] = checks(vec![a.clone(), b.clone(), c]).try_into().unwrap();
        assert_eq!((name, result, has_fix), ("address", Outcome::Warn, true));
        assert!(text.contains("can't reach a (0.0.0.0:7420), c ([::]:7420)"), "{text}");
        let named = at("a", "node-a.internal:7420");
        assert_eq!(checks(vec![named, b])[0].1, Outcome::Ok);
        assert_eq!(checks(vec![a])[0].1, Outcome::Ok, "there is no other node");
    }

    #[test]
    fn a_name_that_is_registered_twice_is_named() {
        let [(name, result, text, _)] = checks(vec![node("a", "1.0", 1.0, 0.0), node("a", "1.0", 1.0, 0.0)])
            .try_into()
            .unwrap();
        assert_eq!((name, result), ("nodes", Outcome::Warn));
        assert_eq!(text, "registered more than once: a");
    }

    #[test]
    fn nodes_that_do_not_answer_are_told_apart_by_why() {
        let with = |name: &str, error: Option<(NodeErrorCode, &str)>| NodeStats {
            address: Some(format!("{name}:7420")),
            error: error.map(|(_, text)| text.to_owned()),
            error_code: error.map(|(code, _)| code),
            ..node(name, "0.1.0", 1.0, 0.001)
        };
        let checked = |nodes: Vec<NodeStats>| {
            check_answers(&NodesResponse {
                now: Wall::from_millis(0),
                node: "a".to_owned(),
                nodes,
                tokens_digest: None,
            })
        };
        assert_eq!(checked(vec![with("a", None), with("b", None)]), []);
        let stranger = (NodeErrorCode::OtherSecret, "it does not accept this node");
        let silent = (NodeErrorCode::Timeout, "no answer, and no secret is told");
        let other = (NodeErrorCode::OtherTokens, "it accepts other tokens");
        let older = (NodeErrorCode::NotAccepted, "it is older, or has another secret");
        let checks = checked(vec![
            with("a", None),
            with("b", Some(stranger)),
            with("c", Some(silent)),
            with("d", Some(other)),
            with("e", Some(older)),
        ]);
        let found: Vec<_> = checks
            .iter()
            .map(|check| (check.name, check.result, check.found.as_str()))
            .collect();
        let secrets = "not the same internal secret as a on b: what one node of the cluster accepts, another rejects";
        let tokens = "not the same tokens of users are accepted on d as on a";
        let accepts = "e did not accept what a asked (421): of an older version, or with another internal secret";
        let reaches = "a does not reach every node over HTTP: c: no answer, and no secret is told";
        assert_eq!(
            found,
            [
                ("secrets", Outcome::Fail, secrets),
                ("tokens", Outcome::Warn, tokens),
                ("address", Outcome::Warn, accepts),
                ("address", Outcome::Warn, reaches),
            ]
        );
        let mut on_all = with(
            "b",
            Some((NodeErrorCode::AddressLeadsNowhere, "its address leads to no other node")),
        );
        on_all.address = Some("0.0.0.0:7420".to_owned());
        assert_eq!(checked(vec![on_all]), [], "said by another check");
    }
}
