//! What Redis and PostgreSQL hold of the users of a cluster, compared with what the nodes say.

use std::collections::BTreeMap;

use presence::replication::{Share, State};
use presence::wire::record::Record;
use presence::wire::rest::QueryResponse;
use presence::{CustomStatus, Revision, Status, Wall};
use presence_tests::DEADLINE;
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::wait::next_look;

/// The users of all partitions and their values, in hexadecimal digits.
const READ_STATES: &str = "local all = {} \
                           local hex = function(c) return string.format('%02x', string.byte(c)) end \
                           for _, key in ipairs(KEYS) do local fields = redis.call('HGETALL', key) \
                           for i = 1, #fields, 2 do if string.byte(fields[i]) > 31 then \
                           all[#all + 1] = fields[i] .. ' ' .. string.gsub(fields[i + 1], '.', hex) end end end return all";

/// Users of one query.
const QUERY_IDS: usize = 1_000;
/// The digits of a value before the state: its revision.
const REVISION_DIGITS: usize = 16;

/// The state of each user, as Redis has it, and its revision.
pub(crate) async fn read_states(cluster: &Cluster) -> BTreeMap<String, (Revision, State)> {
    let count = cluster.partitions().to_string();
    let lines = cluster.of_all(&["EVAL", READ_STATES, &count], "state").await;
    lines.lines().map(read_state).collect()
}

fn read_state(line: &str) -> (String, (Revision, State)) {
    let (user, digits) = line.rsplit_once(' ').expect("a user and a value");
    let bytes = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("a byte")
    });
    let value: Vec<u8> = bytes.collect();
    let (revision, state) = value.split_at(REVISION_DIGITS);
    let revision = std::str::from_utf8(revision)
        .expect("digits")
        .parse()
        .expect("a revision");
    let state = State::decode(state).expect("a state");
    (user.to_owned(), (Revision::new(revision), state))
}

/// Waits until Redis and PostgreSQL have of these users what a node tells, and Redis has nobody else: the state has who is present,
/// by their connections to nodes that run; the database has everybody, with the times of who has left.
pub(crate) async fn all_are_stored(cluster: &Cluster, postgres: &PostgresServer, users: &[String]) {
    let (rest, stopwatch) = (cluster.b.rest(), Stopwatch::start());
    loop {
        let mut told: Vec<Record> = Vec::new();
        for some in users.chunks(QUERY_IDS) {
            let answer: QueryResponse = rest.query(some).await.ok();
            told.extend(answer.users);
        }
        let unlike = unlike_told(cluster, postgres, &told).await;
        if unlike.is_empty() {
            return;
        }
        assert!(stopwatch.elapsed() < DEADLINE, "{unlike:#?}");
        next_look().await;
    }
}

async fn unlike_told(cluster: &Cluster, postgres: &PostgresServer, told: &[Record]) -> Vec<String> {
    let nodes = cluster.b.rest().nodes().await.nodes;
    let nodes: BTreeMap<_, _> = nodes.into_iter().map(|node| (node.incarnation, node.name)).collect();
    let mut states = read_states(cluster).await;
    // Who was kicked or forgotten stays for an hour.
    states.retain(|_, (_, state)| state.command.is_none() || state.status != Status::Offline);
    let mut held: BTreeMap<_, _> = states
        .iter()
        .map(|(user, state)| (user.as_str(), in_state(state, &nodes)))
        .collect();
    let rows = read_rows(cluster, postgres).await;
    let mut unlike = Vec::new();
    for record in told {
        let user = record.user_id.as_str();
        let (held, row) = (held.remove(user), rows.get(user));
        let is_in_state = held == (record.status != Status::Offline).then(|| as_in_state(record));
        // A user who was forgotten has no row.
        let expected = record.since.map(|_| as_in_row(record));
        if !is_in_state || row != expected.as_ref() {
            unlike.push(format!("{record:?}: in the state {held:?}, in the database {row:?}"));
        }
    }
    unlike.extend(held.into_keys().map(|user| format!("{user} is in the state")));
    unlike
}

/// What both the state and a record say.
type InState = (Revision, Status, Option<Wall>, CustomStatus, Vec<String>);

fn in_state((revision, state): &(Revision, State), nodes: &BTreeMap<String, String>) -> InState {
    let revision = state.changed.unwrap_or(*revision);
    let custom = state.durable.part.preference.custom;
    let name_of = |share: &Share| {
        let run = share.incarnation.to_string();
        nodes.get(&run).cloned().unwrap_or(run)
    };
    let mut names: Vec<String> = state.contributions.iter().map(name_of).collect();
    names.sort();
    (revision, state.status, state.since, custom, names)
}

fn as_in_state(record: &Record) -> InState {
    let custom = record.custom_status.unwrap_or_default();
    let nodes = record.nodes.clone().unwrap_or_default();
    (record.revision, record.status, record.since, custom, nodes)
}

/// The row of each user.
async fn read_rows(cluster: &Cluster, postgres: &PostgresServer) -> BTreeMap<String, String> {
    let select = "SELECT user_id, status, custom_status, revision, unpublished IS NULL, since, \
                  CASE status WHEN 'OFFLINE' THEN last_seen END, CASE status WHEN 'OFFLINE' THEN last_active END FROM profile";
    let rows = postgres.ask(cluster.rows(), select).await;
    let rows = rows.lines().filter_map(|row| row.split_once('|'));
    rows.map(|(user, row)| (user.to_owned(), row.to_owned())).collect()
}

fn as_in_row(record: &Record) -> String {
    let millis = |time: Option<Wall>| time.map(|time| time.as_millis().to_string()).unwrap_or_default();
    let times = match record.status {
        Status::Offline => [record.since, record.last_seen, record.last_active],
        _ => [record.since, None, None],
    };
    let custom = record.custom_status.unwrap_or_default();
    let (status, revision, times) = (record.status, record.revision.get(), times.map(millis).join("|"));
    format!("{status}|{custom}|{revision}|t|{times}")
}
