//! What the engine measures. No user id is ever a label.

use presence::{Reason, Status};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::clock::ClockStep;

/// The statuses with their reasons: the rows of the rule.
const OUTCOMES: [(Status, Reason); 6] = [
    (Status::Offline, Reason::NoSession),
    (Status::DoNotDisturb, Reason::Custom),
    (Status::DoNotDisturb, Reason::Reported),
    (Status::Idle, Reason::Custom),
    (Status::Idle, Reason::Inactive),
    (Status::Online, Reason::Active),
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Transition {
    from: &'static str,
    to: &'static str,
    reason: &'static str,
}

impl Transition {
    const fn new(from: Status, to: Status, reason: Reason) -> Self {
        Self {
            from: from.as_str(),
            to: to.as_str(),
            reason: reason.as_str(),
        }
    }
}

/// Which way the system's clock was set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    direction: &'static str,
}

impl StepLabels {
    const FORWARD: Self = Self { direction: "forward" };
    const BACK: Self = Self { direction: "back" };
}

/// Counters of the engine.
pub(crate) struct EngineMetrics {
    transitions: Family<Transition, Counter>,
    /// Changes that met an earlier one in an outbox and left with it.
    pub(crate) conflated: Counter,
    /// Users shown without the store's answer.
    pub(crate) fallbacks: Counter,
    /// Times the timer loop found itself over a second late.
    pub(crate) stalls: Counter,
    clock_steps: Family<StepLabels, Counter>,
    /// From the moment the first of a batch of changes was published to the moment its last frame was handed to the
    /// kernel.
    pub(crate) delivery_seconds: Histogram,
    /// Records that were written to connections.
    pub(crate) deliveries: Counter,
}

impl EngineMetrics {
    /// Registers all of them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            transitions: Family::default(),
            conflated: Counter::default(),
            fallbacks: Counter::default(),
            stalls: Counter::default(),
            clock_steps: Family::default(),
            delivery_seconds: Histogram::new(exponential_buckets(0.000_05, 2.0, 16)),
            deliveries: Counter::default(),
        };
        registry.register(
            "transitions",
            "Changes of status, by from, to and reason",
            metrics.transitions.clone(),
        );
        // All series exist from the start, so that an alert can distinguish zero from missing data.
        for (to, reason) in OUTCOMES {
            for from in Status::ALL.into_iter().filter(|from| *from != to) {
                drop(metrics.transitions.get_or_create(&Transition::new(from, to, reason)));
            }
        }
        registry.register(
            "conflated_changes",
            "Changes that left together with a later one",
            metrics.conflated.clone(),
        );
        registry.register(
            "fallbacks",
            "Users shown without the store's answer",
            metrics.fallbacks.clone(),
        );
        registry.register(
            "stalls",
            "Times the process was stalled for over a second",
            metrics.stalls.clone(),
        );
        registry.register(
            "clock_steps",
            "Times the system's clock was set by a second or more, by direction",
            metrics.clock_steps.clone(),
        );
        for labels in [StepLabels::FORWARD, StepLabels::BACK] {
            drop(metrics.clock_steps.get_or_create(&labels));
        }
        registry.register(
            "delivery_lag_seconds",
            "From a change being published to the last frame of it being written",
            metrics.delivery_seconds.clone(),
        );
        registry.register(
            "deliveries",
            "Records delivered to watchers",
            metrics.deliveries.clone(),
        );
        metrics
    }

    /// Counts a step of the system's clock.
    pub(crate) fn clock_step(&self, step: ClockStep) {
        let labels = match step {
            ClockStep::Forward(_) => StepLabels::FORWARD,
            ClockStep::Back(_) => StepLabels::BACK,
        };
        self.clock_steps.get_or_create(&labels).inc();
    }

    /// How many changes of this kind were counted.
    #[cfg(test)]
    pub(super) fn transitions(&self, from: Status, to: Status, reason: Reason) -> u64 {
        self.transitions.get_or_create(&Transition::new(from, to, reason)).get()
    }

    /// Counts a change of status.
    pub(crate) fn transition(&self, from: Status, to: Status, reason: Reason) {
        if from != to {
            let label = Transition::new(from, to, reason);
            self.transitions.get_or_create(&label).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transition_has_a_counter_from_the_start() {
        let mut registry = Registry::default();
        let _metrics = EngineMetrics::register(&mut registry);
        let mut figures = String::new();
        prometheus_client::encoding::text::encode(&mut figures, &registry).expect("figures");
        for figure in [
            r#"transitions_total{from="ONLINE",to="OFFLINE",reason="no_session"} 0"#,
            r#"transitions_total{from="OFFLINE",to="DO_NOT_DISTURB",reason="reported"} 0"#,
            r#"transitions_total{from="ONLINE",to="IDLE",reason="inactive"} 0"#,
        ] {
            assert!(figures.contains(figure), "{figure}\n{figures}");
        }
        let changes = figures.lines().filter(|line| line.starts_with("transitions_total"));
        assert_eq!(changes.count(), 18, "each outcome from the three other statuses");
    }
}
