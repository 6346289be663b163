//! What the engine tells `/metrics`, as somebody reads it.

use std::time::Duration;

use presence::{EndReason, Reason, ReportInput, Source, Status};
use prometheus_client::registry::Registry;

use super::fixture::{DEADLINE, Fixture, user};
use super::stepped_engine::Stepped;

#[tokio::test]
async fn every_gauge_has_a_help_sentence() {
    let fixture = Fixture::new().await;
    let mut registry = Registry::default();
    fixture.engine.register_gauges(&mut registry);
    let mut figures = String::new();
    prometheus_client::encoding::text::encode(&mut figures, &registry).expect("figures");
    let help: Vec<&str> = figures.lines().filter(|line| line.starts_with("# HELP")).collect();
    assert_eq!(help.len(), 11, "{figures}");
    for line in help {
        assert!(line.ends_with('.') && !line.ends_with(".."), "{line}");
    }
}

#[tokio::test]
async fn stats_contain_changes_deliveries_and_connects_per_second() {
    let stepped = Stepped::new().await;
    let observer = stepped.observe();
    stepped.engine.watch_all(&observer.conn, None, None).await;
    stepped.deliver();
    let throughput = &stepped.engine.throughput;
    throughput.sample(stepped.clock.mono());
    let ann = stepped.connect("ann").await;
    stepped.deliver();
    stepped.engine.away(&ann.conn, None).expect("a session");
    stepped.deliver();
    stepped.advance(Duration::from_secs(1));
    throughput.sample(stepped.clock.mono());
    let rates = stepped.engine.stats().rates;
    assert_eq!((rates.changes_per_second, rates.connects_per_second), (2.0, 1.0));
    assert_eq!(rates.deliveries_per_second, 3.0, "one to ann, two to the observer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stats_contain_the_delivery_lag() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.engine.stats().rates.delivery_lag_max_seconds, 0.0);
    let mut observer = fixture.observe().await;
    let ann = fixture.connect("ann").await;
    fixture.engine.watch_all(&observer.conn, None, None).await;
    observer.snapshot().await;
    // The numbers are of whole seconds since the engine began to count: some of these changes lie in one.
    let changing = async {
        let mut is_away = false;
        loop {
            let rates = fixture.engine.stats().rates;
            if rates.delivery_lag_max_seconds > 0.0 {
                return rates;
            }
            is_away = !is_away;
            let record = if is_away {
                fixture.engine.away(&ann.conn, None)
            } else {
                fixture.engine.activity(&ann.conn, Duration::ZERO)
            };
            assert!(record.is_some());
            observer.event().await;
        }
    };
    let rates = tokio::time::timeout(DEADLINE, changing).await.expect("a lag in time");
    assert!(rates.delivery_lag_seconds > 0.0, "{rates:?}");
    assert!(
        (rates.delivery_lag_seconds..DEADLINE.as_secs_f64()).contains(&rates.delivery_lag_max_seconds),
        "{rates:?}"
    );
}

#[tokio::test]
async fn a_forgotten_user_that_was_present_is_a_transition() {
    let stepped = Stepped::new().await;
    let transitions = |from| {
        let metrics = &stepped.engine.metrics;
        metrics.transitions(from, Status::Offline, Reason::NoSession)
    };
    let (ann, bob) = (stepped.connect("ann").await, stepped.connect("bob").await);
    stepped.engine.away(&ann.conn, None).expect("a session");
    stepped.disconnect(&bob, EndReason::Lost);
    let input = ReportInput {
        source: Source::default(),
        status: Status::DoNotDisturb,
        ttl: None,
        update_last_active: false,
    };
    stepped.engine.report(&user("carl"), input).await.expect("a record");
    for name in ["ann", "bob", "carl", "ann", "nobody"] {
        stepped.engine.forget(&user(name)).await.expect("forgotten");
    }
    assert_eq!(transitions(Status::Idle), 1, "ann");
    assert_eq!(transitions(Status::Online), 1, "bob, in grace");
    assert_eq!(transitions(Status::DoNotDisturb), 1, "carl, reported");
}
