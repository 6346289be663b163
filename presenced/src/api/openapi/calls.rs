//! All calls of the router, a description each. User ids that equal a fixed segment of another route are calls of their own.
//! `HEAD` and the preflights of browsers are not listed.

use axum::http::StatusCode;
use presence::wire::error_code::Code;
use presence::wire::rest::{
    CustomStatusResponse, EndedReports, EndedSessions, Explain, Health, NodesResponse, Page, QueryResponse,
    ReloadStats, RevocationResponse, RevokeResponse, Stats,
};
use serde_json::json;
use utoipa::openapi::HttpMethod;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::bodies::{self, RecordAndNow};
use super::call::{Call, OPERATORS, PROBES, USERS, WEBSOCKET};
use super::security::CallerKind;
use super::{parameters, responses};
use crate::api::routes;
use crate::limits::Limits;

/// What a durable change may end with.
const OF_DURABLE_CHANGES: [Code; 2] = [Code::StoreUnavailable, Code::ClusterUnavailable];
/// What is wrong with a user id in a path.
const OF_PATH: [Code; 2] = [Code::InvalidUserId, Code::NotFound];

pub(super) fn all(limits: &Limits) -> Vec<Call> {
    let groups = [
        custom_statuses(limits),
        vec![report(limits)],
        records(limits),
        presence(),
        removals(),
        revocation(limits),
        cluster(),
        probes(),
        vec![websocket()],
    ];
    groups.into_iter().flatten().collect()
}

fn custom_statuses(limits: &Limits) -> Vec<Call> {
    let rate = limits.custom_statuses;
    let description = format!(
        "Answered once the custom status is on disk. At most {} changes of one user in {} s; `rate_limited` beyond.",
        rate.amount,
        rate.period.as_secs_f64()
    );
    let example = json!({ "customStatus": "IDLE" });
    vec![
        Call::new(
            HttpMethod::Put,
            routes::CUSTOM_STATUS,
            "setCustomStatus",
            CallerKind::User,
        )
        .describe(USERS, "Sets the custom status", &description)
        .body(bodies::of(bodies::CUSTOM_STATUS, limits.body_bytes, example))
        .errors(&[Code::InvalidCustomStatus, Code::RateLimited])
        .errors(&OF_DURABLE_CHANGES)
        .answers::<RecordAndNow>("The record with the custom status."),
        Call::new(
            HttpMethod::Get,
            routes::CUSTOM_STATUS_OF,
            "getCustomStatus",
            CallerKind::Internal,
        )
        .describe(
            OPERATORS,
            "Reads the custom status",
            "ONLINE for a user who was never seen.",
        )
        .parameter(parameters::user(), &OF_PATH)
        .errors(&[Code::StoreUnavailable])
        .answers::<CustomStatusResponse>("The custom status."),
    ]
}

fn report(limits: &Limits) -> Call {
    let description = format!(
        "For a gateway that holds the user's session. At most {} reports of one user; `too_many` beyond.",
        limits.reports_per_user
    );
    let example = json!({ "status": "ONLINE", "source": "mobile-push", "ttlSeconds": 60 });
    Call::new(
        HttpMethod::Put,
        routes::REPORT,
        "reportSession",
        CallerKind::InternalFor,
    )
    .describe(OPERATORS, "Reports a session of an outside gateway", &description)
    .body(bodies::of(bodies::REPORT, limits.body_bytes, example))
    .errors(&[Code::TooMany])
    .errors(&OF_DURABLE_CHANGES)
    .answers::<RecordAndNow>("The record with the report.")
}

fn records(limits: &Limits) -> Vec<Call> {
    let (rate, example) = (limits.lookups, json!({ "userIds": ["alice", "bob"] }));
    let description = format!(
        "Users see `customStatus` and `sessions` in their own record only. A user may look at {} ids in {} s, {} at once; \
         beyond, the answer waits up to 5 s, then it is `rate_limited`.",
        rate.amount,
        rate.period.as_secs_f64(),
        rate.burst
    );
    let read = |path, id, user| {
        Call::new(HttpMethod::Get, path, id, CallerKind::Any)
            .describe(USERS, user, &description)
            .errors(&[Code::RateLimited, Code::StoreUnavailable])
            .answers::<RecordAndNow>("The record; OFFLINE with null times for a user who was never seen.")
    };
    vec![
        read(routes::RECORD, "getPresence", "Reads one record").parameter(parameters::user(), &OF_PATH),
        read(
            routes::QUERY,
            "getPresenceOfQuery",
            "Reads the record of the user `query`",
        ),
        Call::new(HttpMethod::Post, routes::QUERY, "queryPresence", CallerKind::Any)
            .describe(USERS, "Reads several records", &description)
            .body(bodies::of(bodies::QUERY, limits.query_bytes, example))
            .errors(&[Code::RateLimited, Code::StoreUnavailable])
            .error(Code::TooMany, 400)
            .answers::<QueryResponse>("A record for each id, in the order of the request."),
    ]
}

fn presence() -> Vec<Call> {
    vec![
        Call::new(HttpMethod::Get, routes::LISTING, "listPresence", CallerKind::Internal)
            .describe(
                OPERATORS,
                "Lists present users",
                "In the order of their ids, byte for byte.",
            )
            .parameter(parameters::status(), &[Code::InvalidValue])
            .parameter(parameters::prefix(), &[])
            .parameter(parameters::limit(), &[])
            .parameter(parameters::cursor(), &[])
            .answers::<Page>("One page of the present users."),
        Call::new(
            HttpMethod::Get,
            routes::EXPLAIN,
            "explainPresence",
            CallerKind::InternalOrNode,
        )
        .describe(OPERATORS, "Explains a status and what changes it next", "")
        .parameter(parameters::user(), &OF_PATH)
        .parameter(parameters::scope(), &[Code::InvalidValue])
        .errors(&[Code::StoreUnavailable])
        .answers::<Explain>("Sessions, grace period, custom status and timers."),
        Call::new(HttpMethod::Get, routes::STATS, "getStats", CallerKind::Internal)
            .describe(OPERATORS, "Returns statistics", "")
            .answers::<Stats>("Figures of the daemon."),
    ]
}

fn removals() -> Vec<Call> {
    let forget = |path, id, summary| {
        Call::new(HttpMethod::Delete, path, id, CallerKind::Internal)
            .describe(
                OPERATORS,
                summary,
                "Ends all sessions, and deletes record and custom status.",
            )
            .errors(&OF_DURABLE_CHANGES)
            .answers::<EndedSessions>("How many sessions were ended.")
    };
    vec![
        Call::new(HttpMethod::Delete, routes::SESSIONS, "kick", CallerKind::Internal)
            .describe(
                OPERATORS,
                "Ends all sessions of a user",
                "The user is OFFLINE at once; the custom status stays.",
            )
            .parameter(parameters::user(), &OF_PATH)
            .errors(&OF_DURABLE_CHANGES)
            .answers::<EndedSessions>("How many sessions were ended."),
        forget(routes::USER, "forget", "Forgets a user").parameter(parameters::user(), &OF_PATH),
        forget(
            routes::CUSTOM_STATUS,
            "forgetCustomStatus",
            "Forgets the user `custom-status`",
        ),
        forget(routes::REPORT, "forgetRealtime", "Forgets the user `realtime`"),
        Call::new(
            HttpMethod::Delete,
            routes::REPORTS_OF,
            "endReports",
            CallerKind::Internal,
        )
        .describe(
            OPERATORS,
            "Ends all reports of a gateway",
            "A page at a time: call again until `next` is null.",
        )
        .parameter(parameters::source(), &[Code::InvalidValue, Code::NotFound])
        .parameter(parameters::cursor(), &[])
        .errors(&OF_DURABLE_CHANGES)
        .answers::<EndedReports>("How many reports this call ended."),
    ]
}

fn revocation(limits: &Limits) -> Vec<Call> {
    let example = json!({ "before": "2026-11-30T06:00:00.000Z" });
    vec![
        Call::new(
            HttpMethod::Get,
            routes::REVOCATION,
            "getRevocation",
            CallerKind::InternalOrNode,
        )
        .describe(OPERATORS, "Reads which tokens of a user are revoked", "")
        .parameter(parameters::user(), &OF_PATH)
        .errors(&[Code::StoreUnavailable])
        .answers::<RevocationResponse>("The time before which tokens were issued that are refused."),
        Call::new(HttpMethod::Put, routes::REVOCATION, "revoke", CallerKind::Internal)
            .describe(
                OPERATORS,
                "Revokes the tokens of a user",
                "Older tokens are refused on all nodes, and all sessions end. Without `before`, or without a body, older is until now.",
            )
            .parameter(parameters::user(), &OF_PATH)
            .body(bodies::optional(bodies::REVOKE, limits.body_bytes, example))
            .errors(&OF_DURABLE_CHANGES)
            .answers::<RevokeResponse>("What holds now, and how many sessions end."),
    ]
}

fn cluster() -> Vec<Call> {
    let drain = |method, id, summary| {
        Call::new(method, routes::DRAIN, id, CallerKind::Internal)
            .describe(
                OPERATORS,
                summary,
                "Answered when the node has said that it does; it may be repeated.",
            )
            .parameter(parameters::node(), &[Code::InvalidValue, Code::NotFound])
            .errors(&[
                Code::UnknownNode,
                Code::NoOtherNode,
                Code::ClusterUnavailable,
                Code::NodeSilent,
            ])
            .answers::<NodesResponse>("The nodes of the cluster.")
    };
    vec![
        Call::new(HttpMethod::Get, routes::NODES, "listNodes", CallerKind::InternalOrNode)
            .describe(
                OPERATORS,
                "Lists the nodes of the cluster",
                "A node alone lists itself.",
            )
            .parameter(parameters::ask(), &[])
            .answers::<NodesResponse>("The nodes of the cluster."),
        drain(
            HttpMethod::Put,
            "drainNode",
            "Moves the clients of a node to the others",
        ),
        drain(HttpMethod::Delete, "cancelDrain", "Has a node take clients again"),
        Call::new(HttpMethod::Post, routes::RELOAD, "reload", CallerKind::Internal)
            .describe(
                OPERATORS,
                "Reads secrets, keys and settings again",
                "As SIGHUP does. Of the node that is asked alone; all or nothing.",
            )
            .errors(&[Code::ReloadFailed, Code::Draining])
            .answers::<ReloadStats>("What changed, and what needs a restart."),
    ]
}

fn probes() -> Vec<Call> {
    let health = utoipa::openapi::Ref::from_schema_name("Health");
    let not_ready = "Service Unavailable: `problems` says why, or `at_capacity`.";
    let document = ObjectBuilder::new().schema_type(Type::Object);
    vec![
        Call::new(HttpMethod::Get, routes::HEALTH, "health", CallerKind::Probe)
            .describe(PROBES, "Liveness", "200 while the process answers.")
            .answers::<Health>("The process answers."),
        Call::new(HttpMethod::Get, routes::READY, "ready", CallerKind::Probe)
            .describe(PROBES, "Readiness", "")
            .answers::<Health>("The daemon serves clients.")
            .response(
                StatusCode::SERVICE_UNAVAILABLE,
                responses::json(not_ready, health, false),
            ),
        Call::new(HttpMethod::Get, routes::METRICS, "metrics", CallerKind::Probe)
            .describe(
                PROBES,
                "Metrics for Prometheus",
                "The operator may have moved it to another address.",
            )
            .response(StatusCode::OK, responses::metrics()),
        Call::new(HttpMethod::Get, routes::OPENAPI, "openapi", CallerKind::Anyone)
            .describe(PROBES, "This document", "")
            .response(StatusCode::OK, responses::json("The document.", document, false)),
    ]
}

fn websocket() -> Call {
    let description =
        "With the internal secret and no user: the connection of an observer. A request must not have a body.";
    let call = Call::new(HttpMethod::Get, routes::WS, "connect", CallerKind::Any)
        .describe(WEBSOCKET, "Opens a WebSocket", description)
        .errors(&[Code::UpgradeRequired, Code::InvalidValue, Code::Draining])
        .response(StatusCode::SWITCHING_PROTOCOLS, responses::switching_protocols());
    parameters::handshake()
        .into_iter()
        .fold(call, |call, parameter| call.parameter(parameter, &[]))
}
