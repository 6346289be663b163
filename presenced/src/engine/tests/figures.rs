//! What the engine tells `/metrics`, as somebody reads it.

use prometheus_client::registry::Registry;

use super::fixture::Fixture;

#[tokio::test]
async fn every_gauge_is_explained_in_a_whole_sentence() {
    let fixture = Fixture::new().await;
    let mut registry = Registry::default();
    fixture.engine.register_gauges(&mut registry);
    let mut figures = String::new();
    prometheus_client::encoding::text::encode(&mut figures, &registry).expect("figures");
    let help: Vec<&str> = figures.lines().filter(|line| line.starts_with("# HELP")).collect();
    assert_eq!(help.len(), 9, "{figures}");
    for line in help {
        assert!(line.ends_with('.') && !line.ends_with(".."), "{line}");
    }
}
