//! The structure of `deploy/grafana.json`, as Grafana wants it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// The width of Grafana's grid.
const COLUMNS: u64 = 24;

/// The dashboard as JSON, read from its file.
pub(super) struct Dashboard(Value);

pub(super) fn read() -> Dashboard {
    Dashboard(serde_json::from_str(&super::read("deploy/grafana.json")).unwrap())
}

impl Dashboard {
    fn all(&self) -> &[Value] {
        self.0["panels"].as_array().unwrap()
    }

    /// Without the rows.
    fn panels(&self) -> impl Iterator<Item = &Value> {
        self.all().iter().filter(|panel| panel["type"] != "row")
    }

    /// The queries of all panels.
    pub(super) fn queries(&self) -> Vec<&str> {
        let targets = self.panels().flat_map(|panel| panel["targets"].as_array().unwrap());
        targets.map(|target| target["expr"].as_str().unwrap()).collect()
    }
}

/// The place of a panel: from a column and a line up to others.
fn place(panel: &Value) -> [u64; 4] {
    let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().unwrap());
    [x, y, x + w, y + h]
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

#[test]
fn the_dashboard_has_what_grafana_10_imports() {
    let Dashboard(dashboard) = read();
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 38));
    assert!(is_text(&dashboard["title"]) && is_text(&dashboard["uid"]));
    assert_eq!(
        dashboard.get("id"),
        None,
        "an id is of the Grafana that it was made with"
    );
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&Value> = variables.iter().map(|one| &one["name"]).collect();
    assert_eq!(names, [&json!("datasource"), &json!("job"), &json!("instance")]);
    assert_eq!(
        (&variables[0]["type"], &variables[0]["query"]),
        (&json!("datasource"), &json!("prometheus"))
    );
    for variable in &variables[1..] {
        assert_eq!(
            (&variable["type"], &variable["refresh"]),
            (&json!("query"), &json!(2)),
            "{variable}"
        );
    }
}

#[test]
fn each_row_of_the_dashboard_asks_a_question_and_answers_it() {
    let dashboard = read();
    let mut answers = 1;
    for panel in dashboard.all() {
        if panel["type"] == "row" {
            let title = panel["title"].as_str().unwrap();
            assert!(title.ends_with('?'), "{title}");
            assert!(answers > 0, "nothing answers the row before \"{title}\"");
            answers = 0;
        } else {
            answers += 1;
        }
    }
    assert!(answers > 0, "nothing answers the last row");
    assert_eq!(dashboard.all()[0]["type"], "row");
}

#[test]
fn each_panel_has_queries_a_unit_and_a_description() {
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    for panel in read().panels() {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ["stat", "timeseries"].iter().any(|kind| panel["type"] == **kind),
            "{title}"
        );
        assert!(is_text(&panel["title"]) && is_text(&panel["description"]), "{title}");
        assert!(is_text(&panel["fieldConfig"]["defaults"]["unit"]), "{title}");
        assert_eq!(panel["datasource"], source, "{title}");
        let targets = panel["targets"].as_array().unwrap();
        let names: BTreeSet<&str> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
        assert!(!targets.is_empty() && names.len() == targets.len(), "{title}");
        for target in targets {
            assert!(is_text(&target["expr"]) && is_text(&target["legendFormat"]), "{title}");
            assert_eq!(target["datasource"], source, "{title}");
        }
    }
}

#[test]
fn panels_have_ids_and_places_of_their_own() {
    let dashboard = read();
    let ids: BTreeSet<u64> = dashboard
        .all()
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), dashboard.all().len());
    let mut before: Vec<(&Value, [u64; 4])> = Vec::new();
    for panel in dashboard.all() {
        let here @ [left, top, right, bottom] = place(panel);
        assert!(left < right && top < bottom && right <= COLUMNS, "{}", panel["title"]);
        for (other, [other_left, other_top, other_right, other_bottom]) in &before {
            let is_apart = right <= *other_left || *other_right <= left || bottom <= *other_top || *other_bottom <= top;
            assert!(is_apart, "{} covers {}", panel["title"], other["title"]);
            assert!(
                panel["type"] != "row" || *other_bottom <= top,
                "{} is above {}",
                panel["title"],
                other["title"]
            );
        }
        before.push((panel, here));
    }
}
