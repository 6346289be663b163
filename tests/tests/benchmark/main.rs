//! The benchmark still measures what it is for: each workload runs, small and once, and gives plausible figures of the daemon. How
//! fast anything is says nothing here, nor does it whether a target is met.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test program a failure is a failed test"
)]

use std::process::Command;

use presence_tests::binaries::{presenced, profile_dir};
use serde_json::Value;

/// Figures that may be 0: what was lost, what was conflated, and memory that did not grow.
const MAY_BE_ZERO: [&str; 4] = [
    "lost",
    "conflated",
    "greeted without what is stored",
    "memory of a connection",
];

/// Measures workloads at a fiftieth of their size, and checks each figure. How many there were of each workload.
fn measure(workloads: &[&str]) {
    assert!(
        has_both_cores(),
        "the benchmark needs cores 0 and 1, and this process may not use both"
    );
    let presenced = presenced();
    let directory = tempfile::tempdir().unwrap();
    let history = directory.path().join("history.jsonl");
    let mut bench = Command::new(profile_dir().join("presence-bench"));
    bench
        .args(["--scale", "0.02", "--rounds", "1", "--presenced"])
        .arg(presenced);
    let output = bench.arg("--json").arg(&history).args(workloads).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let line = std::fs::read_to_string(history).unwrap();
    let run: Value = serde_json::from_str(&line).unwrap();
    for workload in workloads {
        let of_workload = |figure: &&Value| figure["workload"] == *workload;
        let figures: Vec<&Value> = run["figures"].as_array().unwrap().iter().filter(of_workload).collect();
        assert!(!figures.is_empty(), "{workload}: no figures in {line}");
        for figure in figures {
            let name = figure["name"].as_str().unwrap();
            let [value] = figure["presenced"].as_array().unwrap().as_slice() else {
                panic!("{workload}: no {name} in {line}");
            };
            let value = value.as_f64().unwrap();
            let is_plausible = value > 0.0 || (value == 0.0 && MAY_BE_ZERO.contains(&name));
            assert!(value.is_finite() && is_plausible, "{workload}: {name} is {value}");
        }
    }
}

/// Whether this process may use both of the cores that the benchmark uses, 0 and 1.
fn has_both_cores() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    // "0-3,8": what begins with 0 and is no single core has core 1 as well.
    let allowed = allowed.unwrap().trim();
    allowed.starts_with("0-") || allowed.starts_with("0,1")
}

const CONNECTIONS: [&str; 4] = ["idle", "idle-watching", "mesh", "storm"];
const DELIVERIES: [&str; 3] = ["fan-out", "fan-out-bursts", "fan-out-flat-out"];
const TRANSITIONS: [&str; 1] = ["come-and-go"];
const CALLS: [&str; 5] = [
    "rest-lookup",
    "durable-writes-1",
    "durable-writes-64",
    "presencectl-get",
    "listing",
];
/// They wait for minutes, for what others do as well.
const LEFT_OUT: [&str; 2] = ["idle-cpu", "waves"];

#[test]
fn workloads_of_connections_give_figures() {
    measure(&CONNECTIONS);
}

#[test]
fn workloads_of_deliveries_give_figures() {
    measure(&DELIVERIES);
}

#[test]
fn the_workload_of_transitions_gives_figures() {
    measure(&TRANSITIONS);
}

#[test]
fn workloads_of_calls_give_figures() {
    measure(&CALLS);
}

#[test]
fn every_workload_is_run_or_left_out_on_purpose() {
    presenced();
    let mut bench = Command::new(profile_dir().join("presence-bench"));
    let output = bench.arg("--list").output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let mut listed: Vec<&str> = list.lines().filter_map(|line| line.split(' ').next()).collect();
    let mut known = [CONNECTIONS.as_slice(), &DELIVERIES, &TRANSITIONS, &CALLS, &LEFT_OUT].concat();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
}
