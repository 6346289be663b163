//! The commands of `presencectl`: what they print as JSON, and what those of the release send.

use presence_tests::presencectl::{self, StreamingCommand};
use presence_tests::rest::send;
use presence_tests::{Daemon, wait_until};
use reqwest::Method;
use serde_json::Value;

use super::archive;
use super::shape::missing;
use super::steps::{RecordedSocket, Taker};

fn words(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect()
}

/// What today's command prints, and its exit code; of a stream the event that alice is IDLE.
async fn run(daemon: &Daemon, arguments: &[&str]) -> (Value, Option<i32>) {
    let (server, secret, key) = (
        format!("http://{}", daemon.address()),
        daemon.file("secret").display().to_string(),
        daemon.file("jwt-key").display().to_string(),
    );
    let is_local = ["context", "token"].contains(&arguments[0]);
    let mut all = match is_local {
        true => Vec::new(),
        false => vec!["--server", &server, "--secret-file", &secret],
    };
    all.extend(
        arguments
            .iter()
            .map(|word| if *word == "JWT_KEY" { &key } else { *word }),
    );
    if arguments[0] != "events" {
        all.extend(["-o", "json"]);
        let output = presencectl::run(daemon, &all).await;
        let json = serde_json::from_str(&output.out).unwrap_or(Value::Null);
        return (json, Some(output.code));
    }
    all.extend(["-o", "ndjson"]);
    let events = StreamingCommand::start(daemon, &all);
    let mut custom = ["IDLE", "ONLINE"].into_iter().cycle();
    let line = wait_until("the event", async || {
        // Until the command has read one: it says nothing when it begins to.
        let _limited = daemon.rest().set_custom_status("alice", custom.next().unwrap()).await;
        events.lines().into_iter().find(|line| line.contains(r#""to":"IDLE""#))
    });
    (serde_json::from_str(&line.await).unwrap(), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_json_with_the_fields_of_the_release() {
    let daemon = archive::daemon().await;
    let recorded = archive::json("presencectl.json");
    let mut taker = Taker::new(&daemon);
    let mut found = taker.take_all(&recorded["setup"]).await;
    for command in recorded["commands"].as_array().unwrap() {
        let arguments = words(&command["arguments"]);
        let (json, code) = run(&daemon, &arguments).await;
        let mut lacking = missing(&command["json"], &json);
        if code.is_some_and(|code| command["code"] != code) {
            lacking.push(format!("exit code {code:?} in place of {}", command["code"]));
        }
        found.extend(lacking.into_iter().map(|lacking| format!("{arguments:?}: {lacking}")));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_csv_with_the_columns_of_the_release_first() {
    let daemon = archive::daemon().await;
    let recorded = archive::json("presencectl.json");
    let tables = recorded["csv"].as_array().unwrap();
    assert!(tables.len() > 4);
    for table in tables {
        let mut arguments = words(&table["arguments"]);
        arguments.extend(["-o", "csv"]);
        let output = presencectl::run(&daemon, &arguments).await;
        let today: Vec<&str> = output.out.lines().next().unwrap_or_default().split(',').collect();
        let recorded: Vec<&str> = table["header"].as_str().unwrap().split(',').collect();
        assert!(
            today.starts_with(&recorded),
            "{arguments:?}: {today:?}, not {recorded:?}"
        );
    }
}

/// Sends a recorded request. What the recorded answer has that today's lacks.
async fn repeat(daemon: &Daemon, request: &Value) -> Vec<String> {
    let method: Method = request["method"].as_str().unwrap().parse().unwrap();
    let mut sent = daemon.rest().request(method, request["path"].as_str().unwrap());
    for (name, value) in headers(daemon, request) {
        sent = sent.header(name, value);
    }
    if let Some(body) = request.get("body") {
        sent = sent.body(body.to_string());
    }
    let answer = send(sent).await;
    let mut found = missing(&request["answer"], &answer.body);
    if request["status"] != answer.status {
        found.push(format!("{} in place of {}", answer.status, request["status"]));
    }
    found
}

fn headers(daemon: &Daemon, recorded: &Value) -> Vec<(String, String)> {
    let all = recorded["headers"].as_object().unwrap().iter();
    all.map(|(name, value)| {
        let value = value.as_str().unwrap().replace("$secret", &daemon.secret());
        (name.clone(), value)
    })
    // Of the handshake, which the client makes anew.
    .filter(|(name, _)| name != "sec-websocket-version")
    .collect()
}

/// Opens a recorded WebSocket, and sends what was sent. What was answered with an error.
async fn reopen(daemon: &Daemon, socket: &Value) -> Vec<String> {
    let mut client = RecordedSocket::connect(daemon, &headers(daemon, socket)).await;
    client.next("a welcome", |message| message["type"] == "welcome").await;
    let mut found = Vec::new();
    for message in socket["sends"].as_array().unwrap() {
        client.send(&message.to_string()).await;
        if let Some(id) = message.get("id") {
            let answer = client.next("an answer", |answer| answer.get("id") == Some(id)).await;
            found.extend((answer["type"] == "error").then(|| format!("{message}: {answer}")));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_the_tool_of_the_release_are_answered_as_before() {
    let daemon = archive::daemon().await;
    let recorded = archive::json("presencectl.json");
    let mut taker = Taker::new(&daemon);
    let mut found = taker.take_all(&recorded["setup"]).await;
    let mut sent = 0;
    for command in recorded["commands"].as_array().unwrap() {
        let [requests, sockets] = ["requests", "sockets"].map(|name| command[name].as_array().unwrap());
        sent += requests.len() + sockets.len();
        let mut lacking = Vec::new();
        for request in requests {
            lacking.extend(repeat(&daemon, request).await);
        }
        for socket in sockets {
            lacking.extend(reopen(&daemon, socket).await);
        }
        let arguments = words(&command["arguments"]);
        found.extend(lacking.into_iter().map(|lacking| format!("{arguments:?}: {lacking}")));
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(sent > 20, "{sent}");
}
