//! The document against the router, the error codes and the settings.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::fixture::ApiFixture;
use crate::api::openapi::document;
use crate::api::routes;

use crate::limits::Limits;
use crate::server::ConnectionBounds;

/// Codes of WebSocket messages that no HTTP response has.
const OF_MESSAGES: [&str; 5] = [
    "not_text",
    "observers_only",
    "too_many_watched",
    "unknown_type",
    "users_only",
];

fn parsed(limits: &Limits) -> Value {
    serde_json::from_slice(&document(limits, ConnectionBounds::of(limits, 100))).expect("JSON")
}

/// The object at this place.
fn at<'a>(document: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let object = document.pointer(pointer).and_then(Value::as_object);
    let fields = object.unwrap_or_else(|| panic!("an object at {pointer}"));
    fields.iter().map(|(name, value)| (name.as_str(), value))
}

/// All operations, with method and path.
fn operations(document: &Value) -> Vec<(String, &str, &Value)> {
    let mut all = Vec::new();
    for (path, item) in at(document, "/paths") {
        let methods = item.as_object().expect("a path").iter();
        all.extend(methods.map(|(method, operation)| (method.to_uppercase(), path, operation)));
    }
    all
}

/// All values with this key, wherever they are.
fn values<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|field| values(field, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| values(item, key, found)),
        _ => {}
    }
}

fn texts(values: &[&Value]) -> BTreeSet<String> {
    let lists = values.iter().filter_map(|value| value.as_array()).flatten();
    lists.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The paths of the router. It tells them in its debug output alone.
fn paths_of_router(router: &axum::Router) -> BTreeSet<String> {
    let text = format!("{router:?}");
    let quoted = text.split('"').skip(1).step_by(2);
    let paths = quoted.filter(|word| word.starts_with('/'));
    // These two are the fallback's.
    let routes = paths.filter(|path| *path != "/" && !path.contains("__private__axum_fallback"));
    routes.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_document_has_the_routes_of_the_router_and_no_others() {
    let api = ApiFixture::new().await;
    let document = parsed(&Limits::default());
    let paths: BTreeSet<String> = at(&document, "/paths").map(|(path, _)| path.to_owned()).collect();
    let served = paths_of_router(&api.router);
    assert!(served.len() > 10, "{served:?}");
    assert_eq!(paths, served);
    let mut documented: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (method, path, _) in operations(&document) {
        documented.entry(path).or_default().insert(method);
    }
    for (path, methods) in documented {
        let reply = api.internal(&format!("BREW {path}")).await;
        let allowed = reply.header("allow").unwrap_or_default().split(',');
        // Every `GET` answers `HEAD`, and browsers ask by `OPTIONS`.
        let allowed: BTreeSet<String> = allowed
            .filter(|method| !["HEAD", "OPTIONS"].contains(method))
            .map(str::to_owned)
            .collect();
        assert_eq!(methods, allowed, "{path}");
    }
}

#[test]
fn every_call_that_is_counted_is_documented() {
    let document = parsed(&Limits::default());
    let operations = operations(&document);
    for (method, route) in routes::CALLS {
        let is_it = |(one, path, _): &(String, &str, &Value)| one == method && *path == route;
        assert!(operations.iter().any(is_it), "{method} {route}");
    }
    let ids: BTreeSet<&str> = operations
        .iter()
        .filter_map(|(.., call)| call["operationId"].as_str())
        .collect();
    assert_eq!(ids.len(), operations.len(), "each has an id of its own");
}

#[test]
fn every_error_code_is_one_of_a_response_or_of_messages_alone() {
    let document = parsed(&Limits::default());
    let codes = texts(&[&document["components"]["schemas"]["Code"]["enum"]]);
    assert!(codes.len() > 20, "{codes:?}");
    let mut found = Vec::new();
    for responses in [&document["paths"], &document["components"]["responses"]] {
        values(responses, "code", &mut found);
    }
    let lists: Vec<&Value> = found.iter().map(|code| &code["enum"]).collect();
    let in_responses = texts(&lists);
    // What plain HTTP is told by a listener with TLS is no response of a call.
    let others = codes.difference(&in_responses).filter(|code| *code != "tls_required");
    let missing: Vec<&String> = others.collect();
    assert_eq!(missing, OF_MESSAGES);
}

#[test]
fn each_error_has_the_status_of_its_code() {
    let document = parsed(&Limits::default());
    for (method, path, operation) in operations(&document) {
        for (status, response) in at(operation, "/responses") {
            let mut found = Vec::new();
            values(
                &response["content"]["application/problem+json"],
                "properties",
                &mut found,
            );
            for fields in found {
                assert_eq!(
                    fields["status"]["enum"],
                    json!([status.parse::<u16>().expect("a status")])
                );
                assert!(
                    !texts(&[&fields["code"]["enum"]]).is_empty(),
                    "{method} {path} {status}"
                );
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = parsed(&Limits::default());
    let mut references = Vec::new();
    values(&document, "$ref", &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let pointer = reference.as_str().expect("a text").trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn the_document_states_the_limits_of_this_daemon() {
    let limits = Limits {
        body_bytes: 12_345,
        query_bytes: 54_321,
        reports_per_user: 17,
        ..Limits::default()
    };
    let document = parsed(&limits);
    let listed = &document["info"]["x-limits"];
    assert_eq!(listed["bodyBytes"], 12_345);
    assert_eq!(listed["queryBodyBytes"], 54_321);
    assert_eq!(listed["reportsPerUser"], 17);
    assert_eq!(listed["connections"]["all"], 100);
    assert_eq!(listed["connections"]["perAddress"], 32);
    let description =
        |path: &str, method: &str| document["paths"][path][method]["requestBody"]["description"].to_string();
    assert!(description(routes::CUSTOM_STATUS, "put").contains("12345 bytes"));
    assert!(description(routes::REPORT, "put").contains("12345 bytes"));
    assert!(description(routes::QUERY, "post").contains("54321 bytes"));
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Query"]["properties"]["userIds"]["maxItems"], 1000);
    assert_eq!(schemas["UserId"]["maxLength"], 128);
    assert_eq!(schemas["Report"]["properties"]["ttlSeconds"]["maximum"], 86_400);
}

#[test]
fn a_field_that_may_be_absent_is_not_null_and_the_reverse() {
    let document = parsed(&Limits::default());
    let schemas = &document["components"]["schemas"];
    let record = &schemas["Record"];
    let required = texts(&[&record["required"]]);
    for (name, is_required) in [
        ("since", true),
        ("lastSeen", true),
        ("customStatus", false),
        ("sessions", false),
    ] {
        assert_eq!(required.contains(name), is_required, "{name}");
        let may_be_null = record["properties"][name].to_string().contains("null\"");
        assert_eq!(may_be_null, is_required, "{name}");
    }
    let source = &schemas["Report"]["properties"]["source"];
    assert!(
        source.to_string().contains("null\""),
        "in a request null counts as absent: {source}"
    );
}

#[tokio::test]
async fn the_document_is_public_and_kept_until_limits_change() {
    let api = ApiFixture::new().await;
    let reply = api.ask("GET /openapi.json", &[], "").await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("content-type")),
        (200, Some("application/json"))
    );
    assert_eq!(reply.json()["openapi"], "3.1.0");
    let kept = || {
        let (limits, bounds) = (api.state.limits.load_full(), api.state.connection_limit.bounds());
        api.state.openapi.of(limits, bounds)
    };
    assert_eq!(kept().as_ptr(), kept().as_ptr());
    let limits = Limits {
        message_bytes: 4_321,
        ..Limits::default()
    };
    api.state.limits.replace(limits, api.state.clock.mono());
    let reply = api.ask("GET /openapi.json", &[], "").await;
    assert_eq!(reply.json()["info"]["x-limits"]["messageBytes"], 4_321);
}
