//! The cluster: the servers of Redis and of the database, and the nodes. In one line where there is no room for a panel.

use std::time::Duration;

use presence::wire::rest::{ClusterStats, NodeStats, PostgresInfo, RedisStats};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::geometry::{Area, Position};
use super::super::layout::Layout;
use super::super::model::Model;
use super::format::{count, counted, lag};
use super::painter::{Painter, columns, cut, span};
use crate::output::escape::escape;
use crate::output::number::bytes;

/// The columns of a node, right of its name.
const VERSION_COLUMNS: usize = 9;
const CONNECTIONS_COLUMNS: usize = 7;
const TICK_COLUMNS: usize = 7;
const LAG_COLUMNS: usize = 8;
/// A longer name is cut: then the figures are not too far from it.
const NAME_COLUMNS_MAX: usize = 32;

pub(super) fn draw(model: &Model, layout: &Layout, painter: &mut Painter) {
    let area = layout.cluster;
    let Some(cluster) = model.cluster().filter(|_| !area.is_empty()) else {
        return;
    };
    painter.panel(area, &title(cluster, painter), false);
    let inside = area.inside();
    let width = inside.width.saturating_sub(2);
    let mut lines = lines(model, cluster, width.into(), painter);
    let nodes = lines.len().saturating_sub(cluster.nodes.len());
    if nodes >= inside.height.into() {
        // Room for no node: all above them in one line.
        lines.splice(..nodes, summary(model, painter));
    }
    for (line, y) in lines.iter().zip(inside.y..inside.y + inside.height) {
        painter.line(Position::new(inside.x + 1, y), width, line);
    }
    foot(lines.len(), area, painter);
}

/// How many lines have no room.
fn foot(lines: usize, area: Area, painter: &mut Painter) {
    let hidden = lines.saturating_sub(area.inside().height.into());
    if hidden > 0 {
        painter.foot(area, &format!(" {hidden} more "), false);
    }
}

fn title(cluster: &ClusterStats, painter: &Painter) -> Line<'static> {
    let theme = painter.theme;
    let nodes = counted(cluster.nodes.len() as u64, "node");
    let mut pieces = vec![
        span(" Cluster ", theme.title(false)),
        span(format!("{nodes} "), theme.faint()),
    ];
    pieces.extend(partitions(cluster, painter));
    Line::from(pieces)
}

fn partitions(cluster: &ClusterStats, painter: &Painter) -> Option<Span<'static>> {
    let (stale, all) = (cluster.stale_partitions, cluster.partitions);
    (stale > 0).then(|| span(format!(" {stale}/{all} partitions stale "), painter.theme.bad()))
}

fn lines(model: &Model, cluster: &ClusterStats, width: usize, painter: &Painter) -> Vec<Line<'static>> {
    let mut lines: Vec<Line> = cluster.redis.iter().map(|server| redis(server, painter)).collect();
    lines.extend(model.database_server().map(|server| postgres(model, server, painter)));
    let figures = VERSION_COLUMNS + CONNECTIONS_COLUMNS + TICK_COLUMNS + LAG_COLUMNS;
    let name_columns = width.saturating_sub(figures).min(NAME_COLUMNS_MAX);
    let heading = row(name_columns, "NODE", "VERSION", ["CONNS", "TICK", "LAG"]);
    let style = painter.theme.heading();
    lines.push(heading.into_iter().map(|text| span(text, style)).collect());
    let nodes = model.nodes().into_iter();
    lines.extend(nodes.map(|node| of_node(model, cluster, node, name_columns, painter)));
    lines
}

/// The texts of one line of the nodes, padded.
fn row(name_columns: usize, name: &str, version: &str, [connections, tick, lag]: [&str; 3]) -> [String; 5] {
    let padded = |text: &str, width: usize| {
        let text = cut(text, width.saturating_sub(1));
        let blanks = width.saturating_sub(columns(&text));
        format!("{text}{}", " ".repeat(blanks))
    };
    [
        padded(name, name_columns),
        padded(version, VERSION_COLUMNS),
        format!("{connections:>CONNECTIONS_COLUMNS$}"),
        format!("{tick:>TICK_COLUMNS$}"),
        format!("{lag:>LAG_COLUMNS$}"),
    ]
}

fn of_node(
    model: &Model,
    cluster: &ClusterStats,
    node: &NodeStats,
    name_columns: usize,
    painter: &Painter,
) -> Line<'static> {
    let shown = |seconds: Option<f64>, text: fn(Duration) -> String| {
        let length = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        length.map_or_else(|| "–".to_owned(), text)
    };
    let name = match node.draining {
        true => format!("{} draining", cut(&escape(&node.name), name_columns.saturating_sub(10))),
        false => escape(&node.name).into_owned(),
    };
    let texts = row(
        name_columns,
        &name,
        &escape(node.version.as_deref().unwrap_or("?")),
        [
            &count(node.connections),
            &shown(node.last_tick_seconds, lag),
            &shown(node.lag_seconds, lag),
        ],
    );
    let is_silent = cluster.is_silent(node);
    let is_unusual = [
        is_silent || node.draining,
        model.has_other_version(node),
        false,
        is_silent,
        node.lags(),
    ];
    let style = |is_unusual: bool| match is_unusual {
        true => painter.theme.unusual(),
        false => Style::new(),
    };
    let spans = texts.into_iter().zip(is_unusual);
    spans.map(|(text, is_unusual)| span(text, style(is_unusual))).collect()
}

fn redis(server: &RedisStats, painter: &Painter) -> Line<'static> {
    let theme = painter.theme;
    let mut pieces = vec![span("redis ", theme.faint())];
    let info = server.info.as_ref().filter(|_| server.reachable);
    if !server.reachable {
        pieces.push(span(" UNREACHABLE ", theme.bad()));
        pieces.push(span(" ", Style::new()));
    }
    if let Some(info) = info {
        if info.evicts() {
            pieces.push(span("evicts keys ", theme.unusual()));
        }
        let used = match info.memory_percent() {
            None => bytes(info.used_memory),
            Some(percent) => format!("{} ({percent} %)", bytes(info.used_memory)),
        };
        let style = match info.is_nearly_full() {
            true => theme.unusual(),
            false => Style::new(),
        };
        pieces.push(span(format!("{}, ", escape(&info.version)), Style::new()));
        pieces.push(span(format!("{used} "), style));
    }
    pieces.push(span(escape(&server.address).into_owned(), theme.faint()));
    Line::from(pieces)
}

fn postgres(model: &Model, server: &PostgresInfo, painter: &Painter) -> Line<'static> {
    let theme = painter.theme;
    let is_writable = model.stats.as_ref().is_some_and(|stats| stats.store.writable);
    let mut pieces = vec![span("postgres ", theme.faint())];
    if !is_writable {
        pieces.push(span(" NOT WRITABLE ", theme.bad()));
        pieces.push(span(" ", Style::new()));
    }
    pieces.push(span(short_version(server), Style::new()));
    if server.fsync == Some(false) || server.full_page_writes == Some(false) {
        pieces.push(span(", not durable", theme.unusual()));
    }
    Line::from(pieces)
}

/// `15.14` of `15.14 (Debian 15.14-0+deb12u1)`.
fn short_version(server: &PostgresInfo) -> String {
    let version = server.version.split(' ').next().unwrap_or_default();
    escape(version).into_owned()
}

/// The cluster in one line, what needs attention first; none if the daemon is alone.
pub(super) fn summary(model: &Model, painter: &Painter) -> Option<Line<'static>> {
    let cluster = model.cluster()?;
    let theme = painter.theme;
    let mut pieces = Vec::new();
    if cluster.has_lost_redis() {
        pieces.push(span(" REDIS UNREACHABLE ", theme.bad()));
        pieces.push(span(" ", Style::new()));
    }
    if let Some(partitions) = partitions(cluster, painter) {
        pieces.push(partitions);
        pieces.push(span(" ", Style::new()));
    }
    let warnings = warnings(cluster);
    pieces.extend(
        warnings
            .into_iter()
            .map(|text| span(format!("{text} · "), theme.unusual())),
    );
    let longest = cluster
        .nodes
        .iter()
        .filter_map(|node| node.lag_seconds)
        .fold(0.0, f64::max);
    let longest = Duration::try_from_secs_f64(longest).unwrap_or_default();
    let nodes = counted(cluster.nodes.len() as u64, "node");
    pieces.push(span(format!("{nodes}, lag {}", lag(longest)), Style::new()));
    let used: u64 = cluster
        .redis
        .iter()
        .filter_map(|server| Some(server.info.as_ref()?.used_memory))
        .sum();
    pieces.push(span(format!(" · redis {}", bytes(used)), Style::new()));
    let postgres = model.database_server().map(short_version);
    pieces.extend(postgres.map(|version| span(format!(" · postgres {version}"), Style::new())));
    Some(Line::from(pieces))
}

/// What needs attention and is no failure.
fn warnings(cluster: &ClusterStats) -> Vec<String> {
    let reachable = || cluster.redis.iter().filter(|server| server.reachable);
    let infos = || reachable().filter_map(|server| server.info.as_ref());
    let silent = cluster.nodes.iter().filter(|node| cluster.is_silent(node)).count();
    let warnings = [
        (silent > 0).then(|| format!("{} silent", counted(silent as u64, "node"))),
        cluster.has_mixed_versions().then(|| "versions differ".to_owned()),
        infos()
            .any(|info| info.evicts())
            .then(|| "redis evicts keys".to_owned()),
        infos()
            .any(|info| info.is_nearly_full())
            .then(|| "redis nearly full".to_owned()),
    ];
    warnings.into_iter().flatten().collect()
}
