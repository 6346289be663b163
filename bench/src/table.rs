//! The table that a run prints: a line for each figure, with what it must reach.

use crate::workloads::{Metric, Scale, Target};

/// A figure of both sides, in each round.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) workload: &'static str,
    pub(crate) metric: &'static Metric,
    /// Of the floor, or of the build that another one is compared with. Empty where the floor has no such figure.
    pub(crate) base: Vec<f64>,
    /// Of the daemon.
    pub(crate) measured: Vec<f64>,
}

impl Row {
    /// The daemon's value in ratio to the other side's of the same round. None where that has no value, or 0.
    pub(crate) fn ratio(&self) -> Option<Spread> {
        let pairs = self.base.iter().zip(&self.measured);
        Spread::of(pairs.map(|(base, measured)| measured / base))
    }

    /// Whether the target is met; none without one.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let ratio = self.ratio().map_or(f64::NAN, |ratio| ratio.median);
        match self.metric.target {
            Target::None => None,
            Target::RatioMax(max) => Some(ratio <= max),
            Target::RatioMin(min) => Some(ratio >= min),
            Target::Max(max) => Some(median(&self.measured) <= max),
        }
    }
}

/// The median of some values, with the lowest and the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// None if there are no values, or one of them is no number.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let is_usable = values.iter().all(|value| value.is_finite());
        let (lowest, highest) = (*values.first()?, *values.last()?);
        is_usable.then(|| Self {
            median: f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]),
            lowest,
            highest,
        })
    }
}

/// The median of the rounds; no number if there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    Spread::of(values.iter().copied()).map_or(f64::NAN, |spread| spread.median)
}

/// Three significant digits, or whole numbers.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => String::new(),
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The table of these rows, in Markdown, so that it can be pasted into a document.
pub(crate) fn render(rows: &[Row]) -> String {
    let head = ["workload", "figure", "floor", "presenced", "ratio", "target", ""];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for row in rows {
        let mut line = compared(row).to_vec();
        line.push(target(row.metric));
        let outcome = row.is_met().map(|is_met| if is_met { "met" } else { "MISSED" });
        line.push(outcome.unwrap_or_default().to_owned());
        lines.push(line);
    }
    markdown(&lines)
}

/// The columns that both tables have.
fn compared(row: &Row) -> [String; 5] {
    [
        row.workload.to_owned(),
        row.metric.name.to_owned(),
        value(row, &row.base),
        value(row, &row.measured),
        ratio(row),
    ]
}

/// The table of two builds, the second in ratio to the first.
pub(crate) fn render_comparison(rows: &[Row]) -> String {
    let head = ["workload", "figure", "A", "B", "B / A"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(|row| compared(row).to_vec()));
    markdown(&lines)
}

/// The table of the same workloads at several sizes, smallest first: the daemon's values, and how they and the floor's grow.
pub(crate) fn render_growth(sizes: &[(Scale, Vec<Row>)]) -> String {
    let mut head = vec!["workload".to_owned(), "figure".to_owned()];
    head.extend(sizes.iter().map(|(scale, _)| format!("{} ×", scale.0)));
    head.extend(["slope", "floor's slope"].map(str::to_owned));
    let mut lines = vec![head];
    let (Some((small, first)), Some((large, last))) = (sizes.first(), sizes.last()) else {
        return String::new();
    };
    for row in first {
        let is_same = |other: &&Row| (other.workload, other.metric.name) == (row.workload, row.metric.name);
        let mut line = vec![row.workload.to_owned(), row.metric.name.to_owned()];
        for (_, rows) in sizes {
            line.push(
                rows.iter()
                    .find(is_same)
                    .map_or(String::new(), |row| value(row, &row.measured)),
            );
        }
        let end = last.iter().find(is_same);
        for values in [|row: &Row| median(&row.measured), |row: &Row| median(&row.base)] {
            line.push(end.map_or(String::new(), |end| {
                number(slope([*small, *large], [values(row), values(end)]))
            }));
        }
        lines.push(line);
    }
    markdown(&lines)
}

/// The exponent with which a value grows: 0 if it stays, 1 if it doubles when the size does.
fn slope([small, large]: [Scale; 2], [first, last]: [f64; 2]) -> f64 {
    (last / first).log2() / (large.0 / small.0).log2()
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

/// A table in Markdown whose columns are aligned; the first line is the head.
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

    const METRIC: Metric = Metric {
        name: "CPU per delivery",
        unit: "µs",
        target: Target::RatioMax(1.1),
    };

    fn row(base: &[f64], measured: &[f64]) -> Row {
        Row {
            workload: "fan-out",
            metric: &METRIC,
            base: base.to_vec(),
            measured: measured.to_vec(),
        }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_and_decides_the_target() {
        let (met, missed) = (row(&[5.0, 10.0, 4.0], &[5.5, 10.0, 6.0]), row(&[5.0], &[6.0]));
        let spread = Spread {
            median: 1.1,
            lowest: 1.0,
            highest: 1.5,
        };
        assert_eq!((met.ratio(), met.is_met()), (Some(spread), Some(true)));
        assert_eq!((missed.is_met(), row(&[], &[6.0]).ratio()), (Some(false), None));
        let expected = "\
            | workload | figure           | floor   | presenced | ratio            | target  |        |\n\
            | -------- | ---------------- | ------- | --------- | ---------------- | ------- | ------ |\n\
            | fan-out  | CPU per delivery | 5.00 µs | 6.00 µs   | 1.10 (1.00–1.50) | ≤ 1.1 × | met    |\n\
            | fan-out  | CPU per delivery | 5.00 µs | 6.00 µs   | 1.20             | ≤ 1.1 × | MISSED |\n";
        assert_eq!(render(&[met, missed]), expected);
    }

    #[test]
    fn growth_is_the_exponent_of_the_size() {
        let sizes = [(1.0, 3.0), (2.0, 6.0), (4.0, 12.0)];
        let sizes = sizes.map(|(scale, value)| (Scale(scale), vec![row(&[5.0], &[value])]));
        let expected = "\
            | workload | figure           | 1 ×     | 2 ×     | 4 ×     | slope | floor's slope |\n\
            | -------- | ---------------- | ------- | ------- | ------- | ----- | ------------- |\n\
            | fan-out  | CPU per delivery | 3.00 µs | 6.00 µs | 12.0 µs | 1.00  | 0             |\n";
        assert_eq!(render_growth(&sizes), expected);
    }
}
