//! `deploy/alerts.yaml` and `deploy/grafana.json`: what they ask for is what `/metrics` has, each alert fires and rests as
//! its cases say, and the dashboard is one that Grafana can import.

mod dashboard;
mod selectors;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use presence_tests::binaries::repository;
use presence_tests::cluster::Cluster;
use presence_tests::{Daemon, wait_until};

use super::tls::TlsDaemon;

use self::selectors::{Selector, grouping_labels, selectors};

/// What the scraper knows by itself.
const OF_THE_SCRAPER: [&str; 2] = ["up", "ALERTS"];
/// The labels that the scraper adds, and that of the buckets of a histogram.
const LABELS_OF_ALL: [&str; 3] = ["job", "instance", "le"];

fn read(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap()
}

/// What promtool, which Debian's package `prometheus` has, says of it. Fails the test if it finds a fault.
#[track_caller]
fn promtool(arguments: &[&str], directory: &Path) -> String {
    let run = Command::new("promtool").args(arguments).current_dir(directory).output();
    let output = run.expect("needs promtool, which scripts/test installs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

/// An alert as it stands in the file.
struct Alert {
    name: String,
    /// The name of its group.
    group: String,
    expression: String,
    text: String,
}

/// The alerts. The file has one key a line, and continues an expression on further lines that are indented more.
fn alerts() -> Vec<Alert> {
    let text = read("deploy/alerts.yaml");
    let mut alerts = Vec::new();
    for group in text.split("\n  - name: ").skip(1) {
        let (group, rules) = group.split_once('\n').unwrap();
        let (group, _) = group.split_once(" #").unwrap_or((group, ""));
        for rule in rules.split("- alert: ").skip(1) {
            let (name, text) = rule.split_once('\n').unwrap();
            let (_, expression) = text.split_once("expr: ").unwrap();
            let end = expression
                .find("\n        for:")
                .or(expression.find("\n        labels:"));
            alerts.push(Alert {
                name: name.to_owned(),
                group: group.to_owned(),
                expression: expression[..end.unwrap()].to_owned(),
                text: text.to_owned(),
            });
        }
    }
    alerts
}

impl Alert {
    fn annotation(&self, name: &str) -> &str {
        let start = format!("          {name}: \"");
        let line = self.text.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("{} has no {name}", self.name))
            .trim_end_matches('"')
    }
}

/// The series of a daemon: the values of each label of each metric.
type Series = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn series(metrics: &str) -> Series {
    let mut series = Series::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap();
        let labels = series.entry(line[..end].to_owned()).or_default();
        let braces = line[end..].strip_prefix('{').and_then(|rest| rest.rsplit_once("} "));
        for pair in braces.map_or("", |(pairs, _)| pairs).split("\",") {
            if let Some((label, value)) = pair.split_once("=\"") {
                labels
                    .entry(label.to_owned())
                    .or_default()
                    .insert(value.trim_end_matches('"').to_owned());
            }
        }
    }
    series
}

/// What is wrong with a query, if these series are all that there are.
fn faults(query: &str, series: &Series) -> Vec<String> {
    let mut found = Vec::new();
    let mut labels: BTreeSet<&str> = LABELS_OF_ALL.into();
    for Selector { metric, matchers } in selectors(query) {
        if OF_THE_SCRAPER.contains(&metric) {
            continue;
        }
        let Some(known) = series.get(metric) else {
            found.push(format!("no metric {metric} in {query}"));
            continue;
        };
        labels.extend(known.keys().map(String::as_str));
        for (label, values) in matchers
            .iter()
            .filter(|(label, _)| !["job", "instance"].contains(label))
        {
            let unknown = |value: &&&str| known.get(*label).is_none_or(|all| !all.contains(**value));
            let unknown = values.iter().filter(unknown);
            found.extend(unknown.map(|value| format!("no {metric} with {label}=\"{value}\" in {query}")));
        }
    }
    let unknown = grouping_labels(query)
        .into_iter()
        .filter(|label| !labels.contains(label));
    found.extend(unknown.map(|label| format!("no label {label} to group by in {query}")));
    found
}

/// The series of a daemon alone, and those of one of a cluster; with those that are there with TLS alone.
async fn series_of_all() -> (Series, Series) {
    let (alone, cluster, with_tls) = tokio::join!(Daemon::start(&[]), Cluster::start(&[]), TlsDaemon::start(&[]));
    let mut of_tls = series(&with_tls.rest().metrics().await);
    of_tls.retain(|name, _| name.starts_with("presenced_tls_"));
    let rest = cluster.a.rest();
    let of_cluster = wait_until("Redis was looked at", async || {
        let metrics = series(&rest.metrics().await);
        metrics["presenced_redis_memory_bytes"]
            .contains_key("server")
            .then_some(metrics)
    });
    let of_cluster = of_cluster.await;
    let mut alone = series(&alone.rest().metrics().await);
    alone.extend(of_tls.clone());
    (alone, of_cluster.into_iter().chain(of_tls).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_dashboard_ask_only_for_what_the_metrics_have() {
    let (alone, of_cluster) = series_of_all().await;
    let (mut found, mut asked) = (Vec::new(), BTreeSet::new());
    let (alerts, dashboard) = (alerts(), dashboard::read());
    for alert in &alerts {
        let is_of_cluster = alert.group == "presenced-cluster";
        found.extend(faults(
            &alert.expression,
            if is_of_cluster { &of_cluster } else { &alone },
        ));
        asked.extend(selectors(&alert.expression).into_iter().map(|one| one.metric));
    }
    let queries = dashboard.queries();
    for query in &queries {
        found.extend(faults(query, &of_cluster));
        asked.extend(selectors(query).into_iter().map(|one| one.metric));
    }
    assert!(found.is_empty(), "{found:#?}");
    // Whoever adds a metric shows it.
    let family = |name: &str| {
        name.trim_end_matches("_bucket")
            .trim_end_matches("_sum")
            .trim_end_matches("_count")
            .to_owned()
    };
    let asked: BTreeSet<String> = asked.into_iter().map(family).collect();
    let unseen: BTreeSet<String> = of_cluster
        .keys()
        .map(|name| family(name))
        .filter(|name| !asked.contains(name))
        .collect();
    assert!(
        unseen.is_empty(),
        "neither in an alert nor on the dashboard: {unseen:#?}"
    );
}

#[test]
fn each_alert_fires_and_rests_as_its_cases_say() {
    let deploy = repository().join("deploy");
    promtool(&["check", "rules", "alerts.yaml"], &deploy);
    promtool(&["test", "rules", "alerts.test.yaml"], &deploy);
    let cases = read("deploy/alerts.test.yaml");
    for Alert { name, .. } in alerts() {
        let case = cases.split("\n  - name: ").skip(1).find(|case| {
            let (title, _) = case.split_once('\n').unwrap();
            title.split_whitespace().next() == Some(&name)
        });
        let case = case.unwrap_or_else(|| panic!("{name} has no case"));
        assert!(case.contains("exp_samples: []"), "{name}: when does it not fire?");
        assert!(
            case.contains(&format!("alertname=\"{name}\"")),
            "{name}: when does it fire?"
        );
        assert!(
            !case.contains("instance=\"bad\"") || case.contains("instance=\"good\""),
            "{name}: for whom not?"
        );
    }
}

#[test]
fn each_alert_says_what_to_do() {
    let document = read("docs/operations.md");
    let (_, section) = document.split_once("\n### Alerts\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let documented: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let alerts = alerts();
    for alert in &alerts {
        let [summary, description] = ["summary", "description"].map(|name| alert.annotation(name));
        assert!(
            summary.len() > 20 && description.len() > 60,
            "{}: {summary}: {description}",
            alert.name
        );
        assert!(!description.contains("://"), "{}", alert.name);
        let severities = ["severity: page", "severity: ticket"];
        assert!(
            severities.iter().any(|severity| alert.text.contains(severity)),
            "{}",
            alert.name
        );
    }
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(names.len(), alerts.len(), "a name stands for one alert");
    assert_eq!(names, documented, "the table in \"Alerts\" has them all");
}

#[test]
fn the_queries_of_the_dashboard_are_promql() {
    let directory = tempfile::tempdir().unwrap();
    let dashboard = dashboard::read();
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, query) in dashboard.queries().iter().enumerate() {
        let query = query
            .replace("$__rate_interval", "1m")
            .replace("$job", ".*")
            .replace("$instance", ".*");
        assert!(!query.contains('$'), "{query}");
        rules.push_str(&format!(
            "      - record: query:{number}\n        expr: {}\n",
            serde_json::json!(query)
        ));
    }
    std::fs::write(directory.path().join("rules.yaml"), rules).unwrap();
    promtool(&["check", "rules", "rules.yaml"], directory.path());
}
