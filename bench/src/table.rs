//! The tables that a run prints, in Markdown, so that they can be pasted into a document: a line for each figure with what it
//! must reach, a line for the conditions of each side, and how figures grow.

use crate::conditions::Conditions;
use crate::figure::{Outcome, Round, Row, Value};
use crate::median::median;
use crate::workloads::{Metric, Target};

/// Three significant digits, or whole numbers.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => String::new(),
        0.0 => "0".to_owned(),
        ..0.1 => format!("{value:.4}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The figures of a daemon in ratio to the floor.
pub(crate) fn render(rows: &[Row]) -> String {
    let head = ["workload", "figure", "floor", "presenced", "ratio", "target", ""];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for row in rows {
        let mut line = compared(row).to_vec();
        line.push(target(row.metric));
        line.push(
            row.outcome()
                .map_or_else(|| note(row), |outcome| outcome.name().to_owned()),
        );
        lines.push(line);
    }
    markdown(&lines)
}

/// The figures of two builds, the second in ratio to the first.
pub(crate) fn render_comparison(rows: &[Row]) -> String {
    let head = ["workload", "figure", "A", "B", "B / A", ""];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for row in rows {
        let mut line = compared(row).to_vec();
        line.push(note(row));
        lines.push(line);
    }
    markdown(&lines)
}

/// The columns that both tables have.
fn compared(row: &Row) -> [String; 5] {
    [
        row.workload.to_owned(),
        row.metric.name.to_owned(),
        value(row, &row.base()),
        value(row, &row.measured()),
        ratio(row),
    ]
}

/// What is to be said of a figure without a target.
fn note(row: &Row) -> String {
    let outcome = match (row.is_disturbed(), row.is_limited()) {
        (true, _) => Outcome::Disturbed,
        (false, true) => Outcome::Limited,
        (false, false) => return String::new(),
    };
    outcome.name().to_owned()
}

/// How busy both sides of each workload were, in shares of the measured time: medians of the rounds. `names` are of the sides.
pub(crate) fn render_conditions(rows: &[Row], names: [&str; 2]) -> String {
    let head = [
        "workload",
        "side",
        "server",
        "generator",
        "other on core 0",
        "on core 1",
        "",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    // The conditions are the same in all rows of a workload; the first has all sides.
    for of_one in rows.chunk_by(|one, next| one.workload == next.workload) {
        let sides: [fn(&Row) -> Vec<Conditions>; 2] = [
            |row| conditions(row, |round| round.base),
            |row| conditions(row, |round| round.measured),
        ];
        for (name, side) in names.iter().zip(sides) {
            let found = of_one.first().map(side).unwrap_or_default();
            if found.is_empty() {
                continue;
            }
            let mut line = vec![of_one[0].workload.to_owned(), (*name).to_owned()];
            line.extend([
                percent(&found, Conditions::server_share),
                percent(&found, Conditions::generator_share),
                percent(&found, |conditions| conditions.others_shares()[0]),
                percent(&found, |conditions| conditions.others_shares()[1]),
            ]);
            line.push(remark(&found));
            lines.push(line);
        }
    }
    markdown(&lines)
}

/// The conditions of a side in each round.
pub(crate) fn conditions(row: &Row, side: fn(&Round) -> Option<Value>) -> Vec<Conditions> {
    row.rounds
        .iter()
        .filter_map(side)
        .map(|value| value.conditions)
        .collect()
}

fn percent(of: &[Conditions], share: impl Fn(&Conditions) -> f64) -> String {
    format!("{:.0} %", median(&of.iter().map(share).collect::<Vec<f64>>()) * 100.0)
}

/// In how many rounds the conditions were such that figures are in doubt.
fn remark(of: &[Conditions]) -> String {
    let count = |holds: fn(&Conditions) -> bool| of.iter().filter(|conditions| holds(conditions)).count();
    let mut remarks = Vec::new();
    for (rounds, text) in [
        (count(Conditions::is_disturbed), "disturbed"),
        (count(Conditions::is_limited_by_generator), "limited by the generator"),
    ] {
        if rounds > 0 {
            remarks.push(format!("{rounds} of {} {text}", of.len()));
        }
    }
    remarks.join(", ")
}

/// The same workloads at several sizes, smallest first: the daemon's values, and how they and the floor's grow.
pub(crate) fn render_growth(sizes: &[Vec<Row>]) -> String {
    let mut figures: Vec<(&str, &Metric)> = Vec::new();
    for row in sizes.iter().flatten() {
        if !figures.contains(&(row.workload, row.metric)) {
            figures.push((row.workload, row.metric));
        }
    }
    let mut head = vec!["workload".to_owned(), "figure".to_owned()];
    let columns = figures.iter().map(|figure| found(sizes, *figure).count()).max();
    let columns = columns.unwrap_or_default();
    head.extend((1..=columns).map(|size| format!("size {size}")));
    head.extend(["slope", "floor's slope", "expected", ""].map(str::to_owned));
    let mut lines = vec![head];
    for figure in figures {
        let rows: Vec<&Row> = found(sizes, figure).collect();
        let mut line = vec![figure.0.to_owned(), figure.1.name.to_owned()];
        line.extend((0..columns).map(|size| rows.get(size).map_or(String::new(), |row| sized(row))));
        line.push(slope(&rows, Row::measured));
        line.push(slope(&rows, Row::base));
        line.push(number(figure.1.growth));
        // One value that is worth nothing makes a slope that is worth nothing.
        line.push(
            rows.iter()
                .map(|row| note(row))
                .find(|note| !note.is_empty())
                .unwrap_or_default(),
        );
        lines.push(line);
    }
    markdown(&lines)
}

/// The rows of one figure.
fn found<'a>(sizes: &'a [Vec<Row>], figure: (&'a str, &'a Metric)) -> impl Iterator<Item = &'a Row> {
    sizes
        .iter()
        .flatten()
        .filter(move |row| (row.workload, row.metric) == figure)
}

fn sized(row: &Row) -> String {
    format!("{} ({:.3} ×)", value(row, &row.measured()), row.scale.0).replace(".000 ×", " ×")
}

/// The exponent with which a value grows from the smallest size to the largest: 0 if it stays, 1 if it doubles when the size does.
fn slope(rows: &[&Row], side: fn(&Row) -> Vec<f64>) -> String {
    let (Some(small), Some(large)) = (rows.first(), rows.last()) else {
        return String::new();
    };
    let factor = median(&side(large)) / median(&side(small));
    let exponent = factor.log2() / (large.scale.0 / small.scale.0).log2();
    if exponent.is_finite() {
        number(exponent)
    } else {
        String::new()
    }
}

fn value(row: &Row, values: &[f64]) -> String {
    match values.is_empty() {
        true => String::new(),
        false => format!("{} {}", number(median(values)), row.metric.unit)
            .trim()
            .to_owned(),
    }
}

/// The median of the rounds, and the lowest and the highest.
fn ratio(row: &Row) -> String {
    row.ratio().map_or(String::new(), |ratio| {
        let (lowest, highest) = (number(ratio.lowest), number(ratio.highest));
        match lowest == highest {
            true => number(ratio.median),
            false => format!("{} ({lowest}–{highest})", number(ratio.median)),
        }
    })
}

fn target(metric: &Metric) -> String {
    match metric.target {
        Target::None => String::new(),
        Target::RatioMax(max) => format!("≤ {max} ×"),
        Target::RatioMin(min) => format!("≥ {min} ×"),
        Target::Max(max) => format!("≤ {max} {}", metric.unit).trim().to_owned(),
    }
}

/// A table whose columns are aligned; the first line is the head.
pub(crate) fn markdown(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let values: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(value, width)| format!("{value:width$}"))
            .collect();
        text.push_str(&format!("| {} |\n", values.join(" | ")));
        if index == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text.push_str(&format!("| {} |\n", rules.join(" | ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::tests::{disturbed, row};
    use crate::workloads::Scale;

    #[test]
    fn a_line_has_both_sides_their_ratio_and_the_outcome() {
        let rows = [
            row(&[5.0, 10.0, 4.0], &[5.5, 10.0, 6.0]),
            row(&[5.0], &[6.0]),
            disturbed(&[5.0], &[5.0]),
        ];
        let expected = "\
            | workload | figure           | floor   | presenced | ratio            | target  |           |\n\
            | -------- | ---------------- | ------- | --------- | ---------------- | ------- | --------- |\n\
            | fan-out  | CPU per delivery | 5.00 µs | 6.00 µs   | 1.10 (1.00–1.50) | ≤ 1.1 × | met       |\n\
            | fan-out  | CPU per delivery | 5.00 µs | 6.00 µs   | 1.20             | ≤ 1.1 × | MISSED    |\n\
            | fan-out  | CPU per delivery | 5.00 µs | 5.00 µs   | 1.00             | ≤ 1.1 × | disturbed |\n";
        assert_eq!(render(&rows), expected);
        let compared = render_comparison(&rows[1..]);
        assert!(compared.contains("| B / A |"), "{compared}");
        assert!(compared.contains("| 1.20  |           |"), "no target: {compared}");
        assert!(compared.contains("| 1.00  | disturbed |"), "{compared}");
    }

    #[test]
    fn conditions_are_shares_of_the_measured_time() {
        let mut both = row(&[5.0, 5.0], &[6.0, 6.0]);
        both.rounds.truncate(1);
        both.rounds.extend(disturbed(&[5.0], &[6.0]).rounds);
        let expected = "\
            | workload | side  | server | generator | other on core 0 | on core 1 |                  |\n\
            | -------- | ----- | ------ | --------- | --------------- | --------- | ---------------- |\n\
            | fan-out  | floor | 50 %   | 50 %      | 0 %             | 0 %       |                  |\n\
            | fan-out  | B     | 50 %   | 50 %      | 25 %            | 0 %       | 1 of 2 disturbed |\n";
        assert_eq!(render_conditions(&[both], ["floor", "B"]), expected);
    }

    #[test]
    fn growth_is_the_exponent_of_the_size_that_was_measured() {
        let sizes = [(1.0, 3.0), (2.0, 6.0), (3.968, 11.904)].map(|(scale, value)| {
            let mut row = row(&[5.0], &[value]);
            row.scale = Scale(scale);
            vec![row]
        });
        let expected = "\
            | workload | figure           | size 1        | size 2        | size 3            | slope | floor's slope | expected |  |\n\
            | -------- | ---------------- | ------------- | ------------- | ----------------- | ----- | ------------- | -------- |  |\n\
            | fan-out  | CPU per delivery | 3.00 µs (1 ×) | 6.00 µs (2 ×) | 11.9 µs (3.968 ×) | 1.00  | 0             | 0        |  |\n";
        assert_eq!(render_growth(&sizes), expected);
        let mut one_disturbed = sizes.to_vec();
        one_disturbed[1][0].rounds = disturbed(&[5.0], &[6.0]).rounds;
        assert!(render_growth(&one_disturbed).contains("| 0        | disturbed |"));
        let one = render_growth(&sizes[..1]);
        assert!(
            one.contains("| 3.00 µs (1 ×) |       |"),
            "one size has no slope: {one}"
        );
    }
}
