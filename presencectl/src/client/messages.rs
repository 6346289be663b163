//! The messages a client sends on a WebSocket, as JSON. They are parsed by `presence::wire::client`; a test checks that
//! both agree.

use presence::CustomStatus;
use serde::Serialize;
use serde_json::json;

/// The server accepts messages of up to 16 KiB; a longer list is split.
const IDS_MAX_BYTES: usize = 12 * 1024;

/// Sets the custom status; the reply carries `id`.
pub(crate) fn set_status(id: u64, status: CustomStatus) -> String {
    json!({"type": "setStatus", "id": id, "customStatus": status}).to_string()
}

/// Continues a session that was lost: the first message of a connection.
pub(crate) fn resume(session: &str) -> String {
    json!({"type": "resume", "id": "resume", "sessionId": session}).to_string()
}

pub(crate) fn activity() -> String {
    r#"{"type":"activity"}"#.to_owned()
}

/// Reports that the user is idle.
pub(crate) fn away() -> String {
    r#"{"type":"activity","idle":true}"#.to_owned()
}

pub(crate) fn ping() -> String {
    r#"{"type":"ping"}"#.to_owned()
}

/// Subscribes to everyone, from a cursor if there is one.
pub(crate) fn watch_all(since: Option<&str>) -> String {
    watch_message("watchAll", None::<&[&str]>, since)
}

/// Subscribes to users, split into as many messages as the server's limit requires.
pub(crate) fn watch<'a>(ids: impl IntoIterator<Item = &'a str>, since: Option<&str>) -> Vec<String> {
    let mut messages = Vec::new();
    let mut batch = Vec::new();
    let mut bytes = 0;
    for id in ids {
        // Two quotes and a comma; every byte may need an escape of two.
        let more = id.len() * 2 + 3;
        if bytes + more > IDS_MAX_BYTES && !batch.is_empty() {
            messages.push(watch_message("watch", Some(&batch), since));
            batch.clear();
            bytes = 0;
        }
        batch.push(id);
        bytes += more;
    }
    if !batch.is_empty() {
        messages.push(watch_message("watch", Some(&batch), since));
    }
    messages
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WatchMessage<'a, I: ?Sized> {
    r#type: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_ids: Option<&'a I>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a str>,
}

fn watch_message<I: Serialize + ?Sized>(kind: &str, user_ids: Option<&I>, since: Option<&str>) -> String {
    let message = WatchMessage {
        r#type: kind,
        id: kind,
        user_ids,
        since,
    };
    // Strings and lists of strings always serialize.
    serde_json::to_string(&message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use presence::wire::client_message::{ClientMessage, Envelope};

    use super::*;

    fn parsed(text: &str) -> ClientMessage {
        Envelope::parse(text, 5000).message.unwrap()
    }

    #[test]
    fn the_server_parses_every_client_message() {
        assert_eq!(
            parsed(&set_status(7, CustomStatus::DoNotDisturb)),
            ClientMessage::SetStatus(CustomStatus::DoNotDisturb)
        );
        assert_eq!(parsed(&activity()), ClientMessage::Activity { ago: Duration::ZERO });
        assert_eq!(parsed(&away()), ClientMessage::Away { ago: None });
        assert_eq!(parsed(&ping()), ClientMessage::Ping);
        assert_eq!(parsed(&watch_all(None)), ClientMessage::WatchAll { since: None });
        assert!(matches!(
            parsed(&watch_all(Some("1.2"))),
            ClientMessage::WatchAll { since: Some(_) }
        ));
    }

    #[test]
    fn a_long_watch_list_is_split_into_accepted_messages() {
        let ids: Vec<_> = (0..5000).map(|n| format!("{}{n:05}", "\"".repeat(100))).collect();
        let messages = watch(ids.iter().map(String::as_str), None);
        let mut watched = Vec::new();
        for message in &messages {
            assert!(message.len() <= 16 * 1024, "{}", message.len());
            let ClientMessage::Watch { user_ids, .. } = parsed(message) else {
                panic!("{message}")
            };
            watched.extend(user_ids.into_iter().map(|id| id.to_string()));
        }
        assert_eq!(watched, ids);
    }
}
