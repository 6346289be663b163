//! A file with a line of JSON for each run, so that runs of different days and commits can be compared.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::clock::unix_seconds;
use crate::table::Row;
use crate::usage::load_average;
use crate::workloads::Scale;

/// Appends a run: when and of what it was, and the values of each round.
///
/// # Errors
/// The file can't be written.
pub(crate) fn append(file: &Path, label: &str, scale: Scale, rows: &[Row]) -> Result<()> {
    let run = json!({
        "v": 1,
        "at": unix_seconds(),
        "label": label,
        "scale": scale.0,
        "load": load_average(),
        "figures": rows.iter().map(figure).collect::<Vec<Value>>(),
    });
    let mut opened = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .with_context(|| format!("can't write {}", file.display()))?;
    Ok(writeln!(opened, "{run}")?)
}

fn figure(row: &Row) -> Value {
    json!({
        "workload": row.workload,
        "name": row.metric.name,
        "unit": row.metric.unit,
        "floor": row.base,
        "presenced": row.measured,
        "ratio": row.ratio().map(|ratio| ratio.median),
        "met": row.is_met(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::ALL;

    #[test]
    fn each_run_is_a_line_with_the_values_of_all_rounds() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("history.jsonl");
        let row = Row {
            workload: ALL[0].name,
            metric: &ALL[0].metrics[0],
            base: vec![1.0, 2.0, 4.0],
            measured: vec![2.0, 2.0, 2.0],
        };
        for label in ["one", "two"] {
            append(&file, label, Scale(1.0), std::slice::from_ref(&row)).unwrap();
        }
        let text = std::fs::read_to_string(file).unwrap();
        let runs: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!([&runs[0]["label"], &runs[1]["label"]], ["one", "two"]);
        let figure = &runs[1]["figures"][0];
        assert_eq!(
            (&figure["presenced"], &figure["ratio"]),
            (&json!([2.0, 2.0, 2.0]), &json!(1.0))
        );
    }
}
