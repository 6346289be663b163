//! The limits of a daemon, as its document lists them. The name of each says its unit.

use std::time::Duration;

use presence::Rate;
use presence::report::{REPORT_TTL_MAX_SECONDS, SOURCE_MAX_BYTES};
use presence::user_id::USER_ID_MAX_BYTES;
use presence::wire::rest::{PAGE_MAX_RECORDS, QUERY_MAX_IDS};
use serde_json::{Value, json};

use crate::api::answers::{ANSWERS_INTERNAL, ANSWERS_PER_USER};
use crate::limits::Limits;
use crate::server::{ConnectionBounds, HEAD_MAX_BYTES, HEADERS_MAX};

/// Names each limit, so that one that is added has to be listed.
pub(super) fn of(limits: &Limits, connections: ConnectionBounds) -> Value {
    let Limits {
        message_bytes,
        body_bytes,
        query_bytes,
        handshake_timeout,
        http_idle_timeout,
        sessions_per_user,
        reports_per_user,
        watched_per_connection,
        watched_per_user,
        custom_statuses,
        lookups,
        messages,
        bytes,
        bad_messages,
        message_timeout,
        write_timeout,
        handshakes,
        failed_logins,
        // Those that are in effect are `connections`.
        max_connections: _,
        kept_for_websockets: _,
        connections_per_address: _,
        unauthenticated_connections: _,
    } = limits;
    json!({
        "userIdBytes": USER_ID_MAX_BYTES,
        "sourceBytes": SOURCE_MAX_BYTES,
        "reportTtlSeconds": REPORT_TTL_MAX_SECONDS,
        "queryUserIds": QUERY_MAX_IDS,
        "pageRecords": PAGE_MAX_RECORDS,
        "answersUnderWay": { "perUser": ANSWERS_PER_USER, "internal": ANSWERS_INTERNAL },
        "headBytes": HEAD_MAX_BYTES,
        "headFields": HEADERS_MAX,
        "headSeconds": seconds(*handshake_timeout),
        "idleSeconds": seconds(*http_idle_timeout),
        "bodyBytes": body_bytes,
        "queryBodyBytes": query_bytes,
        "bodySeconds": seconds(*message_timeout),
        "messageBytes": message_bytes,
        "messageSeconds": seconds(*message_timeout),
        "unacknowledgedSeconds": seconds(*write_timeout),
        "connections": of_connections(connections),
        "connectionsPerUser": sessions_per_user,
        "reportsPerUser": reports_per_user,
        "watchedPerConnection": watched_per_connection,
        "watchedPerUser": watched_per_user,
        "customStatusesOfUser": window(*custom_statuses),
        "userIdsOfUser": bucket(*lookups),
        "messagesOfConnection": bucket(*messages),
        "bytesOfConnection": bucket(*bytes),
        "malformedMessagesOfConnection": window(*bad_messages),
        "handshakesOfAddress": bucket(*handshakes),
        "failedLoginsOfAddress": window(*failed_logins),
    })
}

fn of_connections(bounds: ConnectionBounds) -> Value {
    let ConnectionBounds {
        max,
        kept_for_websockets,
        per_address,
        unauthenticated,
        // The same as the time for a head.
        unauthenticated_age: _,
    } = bounds;
    json!({
        "all": max,
        "keptForWebSockets": kept_for_websockets,
        "perAddress": per_address,
        "unauthenticated": unauthenticated,
    })
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// So many in any period.
fn window(rate: Rate) -> Value {
    json!({ "amount": rate.amount, "periodSeconds": seconds(rate.period) })
}

/// So many in a period, and at most `burst` at once.
fn bucket(rate: Rate) -> Value {
    json!({ "amount": rate.amount, "periodSeconds": seconds(rate.period), "burst": rate.burst })
}
