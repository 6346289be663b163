//! A file with a line of JSON for each run, so that runs of different days and commits can be compared.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value as Json, json};

use crate::clock::unix_seconds;
use crate::conditions::Conditions;
use crate::figure::{Outcome, Row};
use crate::run::{LeftOut, Run};
use crate::table;
use crate::usage::load_average;

/// What was measured, for whoever reads the file later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) label: &'a str,
    /// What the sides are called: the floor and the daemon, or two builds.
    pub(crate) sides: [&'a str; 2],
    /// The programs of two builds; none where the floor is one side.
    pub(crate) programs: Option<[&'a Path; 2]>,
}

impl Subject<'_> {
    /// A line for a run: when and of what it was, and the values of each round.
    pub(crate) fn encode(&self, run: &Run) -> Json {
        let mut line = self.head();
        line.extend([
            ("scale".to_owned(), json!(run.scale.0)),
            ("load".to_owned(), json!(load_average())),
            (
                "figures".to_owned(),
                run.rows.iter().map(|row| self.figure(row)).collect(),
            ),
            ("conditions".to_owned(), self.conditions(&run.rows)),
            ("left_out".to_owned(), run.left_out.iter().map(left_out).collect()),
        ]);
        Json::Object(line)
    }

    /// What all lines begin with.
    pub(crate) fn head(&self) -> Map<String, Json> {
        let mut line = Map::new();
        line.extend([
            ("v".to_owned(), json!(2)),
            ("at".to_owned(), json!(unix_seconds())),
            ("label".to_owned(), json!(self.label)),
        ]);
        if let Some(programs) = self.programs {
            let programs = self.sides.iter().zip(programs);
            let programs: Map<String, Json> = programs
                .map(|(side, program)| ((*side).to_owned(), json!(program.to_string_lossy())))
                .collect();
            line.insert("programs".to_owned(), Json::Object(programs));
        }
        line
    }

    fn figure(&self, row: &Row) -> Json {
        let all = |side| Row::amounts(&row.rounds, side);
        json!({
            "workload": row.workload,
            "name": row.metric.name,
            "unit": row.metric.unit,
            "scale": row.scale.0,
            self.sides[0]: all(|round| round.base),
            self.sides[1]: all(|round| round.measured),
            "counted_rounds": if row.is_disturbed() { 0 } else { row.counted().len() },
            "ratio": row.ratio().map(|ratio| ratio.median),
            // Of two builds none is to reach anything.
            "outcome": row.outcome().filter(|_| self.programs.is_none()).map(outcome),
        })
    }

    /// By workload and side: the conditions of each round.
    fn conditions(&self, rows: &[Row]) -> Json {
        let mut workloads = Map::new();
        for row in rows {
            let base = table::conditions(row, |round| round.base);
            let measured = table::conditions(row, |round| round.measured);
            let sides = self.sides.iter().zip([base, measured]);
            let sides: Map<String, Json> = sides
                .map(|(side, rounds)| ((*side).to_owned(), rounds.iter().map(condition).collect()))
                .collect();
            workloads.entry(row.workload.to_owned()).or_insert(Json::Object(sides));
        }
        Json::Object(workloads)
    }
}

/// Appends a line.
///
/// # Errors
/// The file can't be written.
pub(crate) fn append(file: &Path, line: &Json) -> Result<()> {
    let mut opened = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .with_context(|| format!("can't write {}", file.display()))?;
    Ok(writeln!(opened, "{line}")?)
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Met => "met",
        Outcome::Missed => "missed",
        Outcome::Disturbed => "disturbed",
        Outcome::Limited => "limited",
    }
}

fn condition(conditions: &Conditions) -> Json {
    json!({
        "seconds": conditions.measured,
        "server": conditions.server_share(),
        "generator": conditions.generator_share(),
        "others": conditions.others_shares(),
        "stolen": conditions.stolen,
        "disturbed": conditions.is_disturbed(),
        "limited_by_generator": conditions.is_limited_by_generator(),
    })
}

fn left_out(left_out: &LeftOut) -> Json {
    json!({"workload": left_out.workload, "reason": left_out.reason})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::tests::{disturbed, row};
    use crate::workloads::Scale;

    fn run() -> Run {
        let mut row = row(&[1.0, 2.0, 4.0], &[2.0, 2.0, 2.0]);
        row.rounds.extend(disturbed(&[1.0], &[50.0]).rounds);
        Run {
            scale: Scale(1.0),
            rows: vec![row],
            left_out: vec![LeftOut {
                workload: "idle",
                reason: "too large".to_owned(),
            }],
        }
    }

    #[test]
    fn each_run_is_a_line_with_the_values_and_conditions_of_all_rounds() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("history.jsonl");
        for label in ["one", "two"] {
            let subject = Subject {
                label,
                sides: ["floor", "presenced"],
                programs: None,
            };
            append(&file, &subject.encode(&run())).unwrap();
        }
        let text = std::fs::read_to_string(file).unwrap();
        let runs: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!([&runs[0]["label"], &runs[1]["label"]], ["one", "two"]);
        let figure = &runs[1]["figures"][0];
        assert_eq!(figure["presenced"], json!([2.0, 2.0, 2.0, 50.0]));
        assert_eq!(
            [&figure["ratio"], &figure["counted_rounds"], &figure["outcome"]],
            [&json!(1.0), &json!(3), &json!("met")]
        );
        let rounds = &runs[1]["conditions"]["fan-out"]["presenced"];
        assert_eq!([&rounds[0]["disturbed"], &rounds[3]["disturbed"]], [false, true]);
        assert_eq!(runs[1]["left_out"][0]["workload"], "idle");
    }

    #[test]
    fn a_comparison_names_both_programs_and_has_no_outcome() {
        let subject = Subject {
            label: "",
            sides: ["a", "b"],
            programs: Some(["old/presenced", "new/presenced"].map(Path::new)),
        };
        let line = subject.encode(&run());
        assert_eq!(line["programs"], json!({"a": "old/presenced", "b": "new/presenced"}));
        let figure = &line["figures"][0];
        assert_eq!(
            [&figure["a"][2], &figure["b"][2], &figure["outcome"]],
            [&json!(4.0), &json!(2.0), &Json::Null]
        );
    }
}
