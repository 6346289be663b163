//! The OpenAPI document of the release beside today's: a client that was made of the older one works with the newer one.

use presence_tests::Daemon;
use presence_tests::rest::send;
use reqwest::Method;
use serde_json::{Value, json};

use super::archive;

/// Who sends what a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Client,
    Daemon,
}

/// Two documents that are compared, and what the newer one lacks.
struct Comparison<'a> {
    release: &'a Value,
    today: &'a Value,
    found: Vec<String>,
}

/// The value, or the one that it refers to.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => resolved(document, document.pointer(reference.trim_start_matches('#')).unwrap()),
        None => value,
    }
}

/// The strings in a list; none if there is no list.
fn strings(list: &Value) -> Vec<&Value> {
    list.as_array().into_iter().flatten().collect()
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

impl Comparison<'_> {
    fn lacks(&mut self, at: &str, what: impl std::fmt::Display) {
        self.found.push(format!("{at}: {what}"));
    }

    /// Compares two schemas of what `sender` sends.
    fn schema(&mut self, at: &str, sender: Sender, release: &Value, today: &Value) {
        let (release, today) = (resolved(self.release, release), resolved(self.today, today));
        if release.get("type").is_some() && release["type"] != today["type"] {
            self.lacks(at, format!("{} in place of {}", today["type"], release["type"]));
        }
        let values = strings(&release["enum"]).into_iter();
        for value in values.filter(|value| !strings(&today["enum"]).contains(value)) {
            self.lacks(at, format!("no {value} any more"));
        }
        for (name, field) in fields(&release["properties"]) {
            match today["properties"].get(name) {
                Some(now) => self.schema(&format!("{at}/{name}"), sender, field, now),
                None => self.lacks(at, format!("no {name} any more")),
            }
        }
        let (kept, asked) = match sender {
            Sender::Client => (&release["required"], &today["required"]),
            Sender::Daemon => (&today["required"], &release["required"]),
        };
        let kept = strings(kept);
        for name in strings(asked).into_iter().filter(|name| !kept.contains(name)) {
            self.lacks(at, format!("{name} is required on one side alone"));
        }
        if sender == Sender::Client {
            self.bounds(at, release, today);
        }
        if let Some(items) = release.get("items") {
            self.schema(&format!("{at}[]"), sender, items, &today["items"]);
        }
        for kind in ["allOf", "oneOf"] {
            for (number, part) in strings(&release[kind]).into_iter().enumerate() {
                let now = today[kind].get(number).unwrap_or(&Value::Null);
                self.schema(at, sender, part, now);
            }
        }
    }

    /// What was within the bounds still is.
    fn bounds(&mut self, at: &str, release: &Value, today: &Value) {
        for (name, grows) in [
            ("maximum", true),
            ("maxLength", true),
            ("maxItems", true),
            ("minimum", false),
            ("minLength", false),
        ] {
            let (before, now) = (release[name].as_f64(), today[name].as_f64());
            let is_kept = match (before, now) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(before), Some(now)) => (now - before) * if grows { 1.0 } else { -1.0 } >= 0.0,
            };
            if !is_kept {
                self.lacks(at, format!("{name} is {now:?}, and was {before:?}"));
            }
        }
    }

    /// Compares the contents of two bodies.
    fn body(&mut self, at: &str, sender: Sender, release: &Value, today: &Value) {
        for (kind, content) in fields(&release["content"]) {
            let at = format!("{at} {kind}");
            match today["content"].get(kind) {
                Some(now) => self.schema(&at, sender, &content["schema"], &now["schema"]),
                None => self.lacks(&at, "no such content any more"),
            }
        }
    }

    fn parameters(&mut self, at: &str, release: &Value, today: &Value) {
        let key = |parameter: &Value| (parameter["in"].clone(), parameter["name"].clone());
        let of = |operation: &Value, document: &Value| -> Vec<Value> {
            let all = strings(&operation["parameters"]);
            all.into_iter()
                .map(|parameter| resolved(document, parameter).clone())
                .collect()
        };
        let (before, now) = (of(release, self.release), of(today, self.today));
        for parameter in &before {
            let at = format!("{at} {}", parameter["name"]);
            match now.iter().find(|other| key(other) == key(parameter)) {
                None => self.lacks(&at, "no such parameter any more"),
                Some(other) => self.schema(&at, Sender::Client, &parameter["schema"], &other["schema"]),
            }
        }
        let required = now.iter().filter(|parameter| parameter["required"] == true);
        for parameter in required {
            let was = before.iter().find(|other| key(other) == key(parameter));
            if was.is_none_or(|was| was["required"] != true) {
                self.lacks(at, format!("{} is required now", parameter["name"]));
            }
        }
    }

    fn operation(&mut self, at: &str, release: &Value, today: &Value) {
        self.parameters(at, release, today);
        self.body(at, Sender::Client, &release["requestBody"], &today["requestBody"]);
        for (status, response) in fields(&release["responses"]) {
            let at = format!("{at} {status}");
            let Some(now) = today["responses"].get(status) else {
                self.lacks(&at, "no such response any more");
                continue;
            };
            let (response, now) = (resolved(self.release, response), resolved(self.today, now));
            self.body(&at, Sender::Daemon, response, now);
            let headers = fields(&response["headers"]).filter(|(name, _)| now["headers"].get(name).is_none());
            let gone: Vec<&String> = headers.map(|(name, _)| name).collect();
            if !gone.is_empty() {
                self.lacks(&at, format!("no header {gone:?} any more"));
            }
        }
    }
}

/// What today's document lacks of the release's.
fn lacking(release: &Value, today: &Value) -> Vec<String> {
    let mut comparison = Comparison {
        release,
        today,
        found: Vec::new(),
    };
    for (path, operations) in fields(&release["paths"]) {
        for (method, operation) in fields(operations).filter(|(_, operation)| operation.get("responses").is_some()) {
            let at = format!("{method} {path}");
            match today["paths"][path].get(method) {
                Some(now) => comparison.operation(&at, operation, now),
                None => comparison.lacks(&at, "no such call any more"),
            }
        }
    }
    for (name, _) in fields(&release["info"]["x-limits"]) {
        if today["info"]["x-limits"].get(name).is_none() {
            comparison.lacks("limits", name);
        }
    }
    comparison.found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_has_all_that_the_release_had() {
    let release = archive::json("openapi.json");
    assert!(fields(&release["paths"]).count() > 15);
    let daemon = Daemon::start(&[]).await;
    let today = send(daemon.rest().request(Method::GET, "/openapi.json")).await;
    let found = lacking(&release, &today.ok());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_document_that_lacks_something_of_the_release_is_found() {
    let release = archive::json("openapi.json");
    assert_eq!(lacking(&release, &release), Vec::<String>::new());
    let without = |pointer: &str, name: &str| {
        let mut today = release.clone();
        let inside = today.pointer_mut(pointer).unwrap();
        inside.as_object_mut().unwrap().remove(name).unwrap();
        lacking(&release, &today).len()
    };
    let with = |pointer: &str, value: Value| {
        let mut today = release.clone();
        *today.pointer_mut(pointer).unwrap() = value;
        lacking(&release, &today).len()
    };
    assert_eq!(without("/paths", "/api/stats"), 1);
    assert_eq!(without("/paths/~1api~1user~1realtime", "put"), 1);
    assert_eq!(without("/paths/~1api~1user~1realtime/put/responses", "429"), 1);
    assert!(without("/components/schemas/Record/properties", "since") > 5);
    assert!(with("/components/schemas/Status/enum", json!(["ONLINE", "IDLE", "OFFLINE"])) > 5);
    assert!(with("/components/schemas/Record/properties/sessions/type", json!("number")) > 5);
    assert!(with("/components/schemas/Record/required", json!(["userId"])) > 5);
    assert_eq!(
        with("/components/schemas/Report/required", json!(["status", "source"])),
        1
    );
    assert_eq!(
        with("/components/schemas/Query/properties/userIds/maxItems", json!(999)),
        1
    );
    assert_eq!(with("/paths/~1api~1presence/get/parameters/0/required", json!(true)), 1);
    let codes = "/paths/~1api~1user~1realtime/put/responses/401/content/application~1problem+json/schema/allOf/1/properties/code/enum";
    assert_eq!(with(codes, json!(["forbidden"])), 1);
}
