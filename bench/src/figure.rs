//! A figure of both sides in several rounds: the ratio, and whether it meets its target. Rounds that other work disturbed don't
//! count, and a figure that the generator limits decides only what would be decided without that limit.

use crate::conditions::Conditions;
use crate::median::{Spread, median};
use crate::workloads::{Metric, Quantity, Sample, Scale, Target};

/// The value of one side in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub(crate) amount: f64,
    pub(crate) conditions: Conditions,
}

/// A figure in one round. A side for which a workload has no such figure has no value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// Of the floor, or of the build that another one is compared with.
    pub(crate) base: Option<Value>,
    pub(crate) measured: Option<Value>,
}

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) workload: &'static str,
    pub(crate) metric: &'static Metric,
    /// The size at which it was measured.
    pub(crate) scale: Scale,
    pub(crate) rounds: Vec<Round>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Met,
    Missed,
    /// Other work disturbed all rounds.
    Disturbed,
    /// It depends on what would be without the limit of the generator.
    Limited,
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::Disturbed => "disturbed",
            Self::Limited => "limited by the generator",
        }
    }
}

impl Row {
    /// The values of one side in these rounds.
    pub(crate) fn amounts(rounds: &[Round], side: fn(&Round) -> Option<Value>) -> Vec<f64> {
        rounds.iter().filter_map(side).map(|value| value.amount).collect()
    }

    /// Whether no round was left undisturbed.
    pub(crate) fn is_disturbed(&self) -> bool {
        !self.rounds.is_empty() && !self.rounds.iter().any(|round| self.counts(round))
    }

    /// Whether a value would be another one without the limit of the generator.
    pub(crate) fn is_limited(&self) -> bool {
        let counted = self.counted();
        let mut values = counted.iter().flat_map(|round| [round.base, round.measured]).flatten();
        values.any(|value| {
            let [lowest, highest] = self.range(value);
            lowest < highest
        })
    }

    /// The rounds that count; all of them if none does.
    pub(crate) fn counted(&self) -> Vec<Round> {
        let counted: Vec<Round> = self.rounds.iter().filter(|round| self.counts(round)).copied().collect();
        if counted.is_empty() {
            self.rounds.clone()
        } else {
            counted
        }
    }

    fn counts(&self, round: &Round) -> bool {
        let mut sides = [round.base, round.measured].into_iter().flatten();
        self.metric.quantity == Quantity::Exact || !sides.any(|value| value.conditions.is_disturbed())
    }

    pub(crate) fn base(&self) -> Vec<f64> {
        Self::amounts(&self.counted(), |round| round.base)
    }

    pub(crate) fn measured(&self) -> Vec<f64> {
        Self::amounts(&self.counted(), |round| round.measured)
    }

    /// The daemon's value in ratio to the other side's of the same round. None where that has no value, or 0.
    pub(crate) fn ratio(&self) -> Option<Spread> {
        let counted = self.counted();
        let pairs = counted
            .iter()
            .filter_map(|round| Some((round.base?.amount, round.measured?.amount)));
        Spread::of(pairs.map(|(base, measured)| measured / base))
    }

    /// Whether the target is met; none without one. Targets are of workloads at their usual size.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        if self.metric.target == Target::None || self.scale != Scale(1.0) {
            return None;
        }
        if self.is_disturbed() {
            return Some(Outcome::Disturbed);
        }
        let ends: Vec<[f64; 2]> = self.counted().iter().filter_map(|round| self.judged(round)).collect();
        let median_of = |end: usize| median(&ends.iter().map(|ends| ends[end]).collect::<Vec<f64>>());
        let meets = [0, 1].map(|end| match self.metric.target {
            Target::None => true,
            Target::RatioMax(max) | Target::Max(max) => median_of(end) <= max,
            Target::RatioMin(min) => median_of(end) >= min,
        });
        Some(match meets {
            [true, true] => Outcome::Met,
            [false, false] => Outcome::Missed,
            _ => Outcome::Limited,
        })
    }

    /// What the target is about in a round: the lowest and the highest that it may be.
    fn judged(&self, round: &Round) -> Option<[f64; 2]> {
        let measured = self.range(round.measured?);
        if let Target::Max(_) = self.metric.target {
            return Some(measured);
        }
        let base = self.range(round.base?);
        Some([measured[0] / base[1], measured[1] / base[0]])
    }

    /// The lowest and the highest that a value may be without the limit of the generator. The server does not get below the time
    /// that it works, but of how that is spread over many requests nothing is known.
    fn range(&self, value: Value) -> [f64; 2] {
        let Value { amount, conditions } = value;
        if !conditions.is_limited_by_generator() {
            return [amount, amount];
        }
        match self.metric.quantity {
            Quantity::Exact | Quantity::Conflated | Quantity::Cpu => [amount, amount],
            Quantity::Time => [amount * conditions.server_share(), amount],
            Quantity::Rate => [amount, amount / conditions.server_share()],
            Quantity::Latency => [0.0, amount],
        }
    }
}

/// Rows without values, for the metrics of a workload, from their names.
pub(crate) fn rows(workload: &'static str, metrics: &'static [Metric], scale: Scale) -> Vec<Row> {
    let row = |metric| Row {
        workload,
        metric,
        scale,
        rounds: Vec::new(),
    };
    metrics.iter().map(row).collect()
}

/// Adds a round to the rows of a workload.
pub(crate) fn add(rows: &mut [Row], base: &Sample, measured: &Sample) {
    let value = |sample: &Sample, number: usize| {
        sample.values.get(number).map(|amount| Value {
            amount: *amount,
            conditions: sample.conditions,
        })
    };
    for (number, row) in rows.iter_mut().enumerate() {
        row.rounds.push(Round {
            base: value(base, number),
            measured: value(measured, number),
        });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const QUIET: Conditions = Conditions {
        measured: 1.0,
        server: 0.5,
        generator: 0.5,
        others: [0.0, 0.0],
        stolen: 0.0,
    };
    const DISTURBED: Conditions = Conditions {
        others: [0.5, 0.0],
        ..QUIET
    };
    const LIMITED: Conditions = Conditions {
        generator: 0.99,
        ..QUIET
    };

    static PER_DELIVERY: Metric = Metric {
        name: "CPU per delivery",
        unit: "µs",
        quantity: Quantity::Cpu,
        target: Target::RatioMax(1.1),
        growth: 0.0,
    };
    static TIME: Metric = Metric {
        name: "time",
        quantity: Quantity::Time,
        target: Target::RatioMax(4.0),
        ..PER_DELIVERY
    };
    static RATE: Metric = Metric {
        name: "rate",
        quantity: Quantity::Rate,
        target: Target::RatioMin(0.65),
        ..PER_DELIVERY
    };
    static LATENCY: Metric = Metric {
        name: "latency",
        quantity: Quantity::Latency,
        target: Target::RatioMax(4.0),
        ..PER_DELIVERY
    };
    static BYTES: Metric = Metric {
        quantity: Quantity::Exact,
        ..PER_DELIVERY
    };
    static ABSOLUTE: Metric = Metric {
        name: "CPU",
        quantity: Quantity::Cpu,
        target: Target::Max(0.5),
        ..PER_DELIVERY
    };

    /// A row of undisturbed rounds.
    pub(crate) fn row(base: &[f64], measured: &[f64]) -> Row {
        of(&PER_DELIVERY, QUIET, QUIET, base, measured)
    }

    /// A row of rounds that were all disturbed.
    pub(crate) fn disturbed(base: &[f64], measured: &[f64]) -> Row {
        of(&PER_DELIVERY, QUIET, DISTURBED, base, measured)
    }

    fn of(metric: &'static Metric, floor: Conditions, daemon: Conditions, base: &[f64], measured: &[f64]) -> Row {
        let mut rows = rows("fan-out", std::slice::from_ref(metric), Scale(1.0));
        let sample = |value: Option<&f64>, conditions| Sample {
            values: value.copied().into_iter().collect(),
            conditions,
        };
        for round in 0..base.len().max(measured.len()) {
            add(
                &mut rows,
                &sample(base.get(round), floor),
                &sample(measured.get(round), daemon),
            );
        }
        rows.remove(0)
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_and_decides_the_target() {
        let (met, missed) = (row(&[5.0, 10.0, 4.0], &[5.5, 10.0, 6.0]), row(&[5.0], &[6.0]));
        let spread = Spread {
            median: 1.1,
            lowest: 1.0,
            highest: 1.5,
        };
        assert_eq!((met.ratio(), met.outcome()), (Some(spread), Some(Outcome::Met)));
        assert_eq!(
            (missed.outcome(), row(&[], &[6.0]).ratio()),
            (Some(Outcome::Missed), None)
        );
        let without_floor = of(&ABSOLUTE, QUIET, QUIET, &[], &[0.4]);
        assert_eq!(without_floor.outcome(), Some(Outcome::Met));
    }

    #[test]
    fn a_disturbed_round_does_not_count() {
        let mut some = row(&[5.0, 5.0, 5.0], &[5.0, 5.0, 5.0]);
        some.rounds.extend(disturbed(&[5.0], &[50.0]).rounds);
        assert_eq!((some.measured().len(), some.outcome()), (3, Some(Outcome::Met)));
        let all = disturbed(&[5.0, 5.0], &[5.0, 50.0]);
        let bytes = of(&BYTES, DISTURBED, DISTURBED, &[5.0], &[5.0]);
        assert_eq!(bytes.outcome(), Some(Outcome::Met), "what can't be disturbed counts");
        assert_eq!((all.measured().len(), all.outcome()), (2, Some(Outcome::Disturbed)));
    }

    #[test]
    fn a_target_is_of_the_usual_size_alone() {
        let mut twice = row(&[5.0], &[50.0]);
        twice.scale = Scale(2.0);
        assert_eq!(twice.outcome(), None);
    }

    #[test]
    fn a_limit_of_the_generator_leaves_undecided_what_depends_on_it() {
        // The server is half busy: its time may be half of what it is, and its rate twice.
        for (metric, floor, daemon, measured, expected) in [
            (&TIME, LIMITED, QUIET, 1.9, Outcome::Met),
            (&TIME, LIMITED, QUIET, 3.0, Outcome::Limited),
            (&TIME, LIMITED, QUIET, 4.1, Outcome::Missed),
            (&TIME, QUIET, LIMITED, 3.9, Outcome::Met),
            (&TIME, QUIET, LIMITED, 7.0, Outcome::Limited),
            (&TIME, QUIET, LIMITED, 8.1, Outcome::Missed),
            (&RATE, LIMITED, QUIET, 1.4, Outcome::Met),
            (&RATE, LIMITED, QUIET, 0.7, Outcome::Limited),
            (&RATE, LIMITED, QUIET, 0.6, Outcome::Missed),
            (&LATENCY, LIMITED, QUIET, 1.0, Outcome::Limited),
            (&LATENCY, LIMITED, QUIET, 4.1, Outcome::Missed),
            (&PER_DELIVERY, LIMITED, LIMITED, 1.0, Outcome::Met),
        ] {
            let row = of(metric, floor, daemon, &[1.0], &[measured]);
            assert_eq!(row.outcome(), Some(expected), "{} {measured}", metric.name);
            assert_eq!(row.is_limited(), metric.quantity != Quantity::Cpu, "{}", metric.name);
        }
    }
}
