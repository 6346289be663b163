//! Metrics of REST calls: count and duration by route, and what was refused by a limit. Labels come from fixed lists, never from a request.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::routes;
use crate::exceeded_limit::{Limit, LimitCounters};

/// From half a millisecond, a lookup, to ten seconds, a store that hangs.
const BUCKETS_SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

/// The call that is made most, when it succeeds.
const LOOKUP: CallLabels = CallLabels {
    method: "GET",
    route: routes::RECORD,
    status: "2xx",
};

/// Status classes that every call may have.
const USUAL_CLASSES: [&str; 3] = ["2xx", "4xx", "5xx"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: &'static str,
    route: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: &'static str,
}

#[derive(Debug, Clone)]
pub(crate) struct ApiMetrics {
    requests: Family<CallLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    /// Those of [`LOOKUP`], which are looked up for no request.
    lookups: (Counter, Histogram),
    limits: LimitCounters,
}

impl ApiMetrics {
    /// The counters of limits are shared with the gateway.
    pub(crate) fn register(registry: &mut Registry, limits: LimitCounters) -> Self {
        let requests: Family<CallLabels, Counter> = Family::default();
        let new: fn() -> Histogram = || Histogram::new(BUCKETS_SECONDS);
        let seconds = Family::new_with_constructor(new);
        let CallLabels { method, route, .. } = LOOKUP;
        let lookups = (
            requests.get_or_create(&LOOKUP).clone(),
            seconds.get_or_create(&RouteLabels { method, route }).clone(),
        );
        let metrics = Self {
            requests,
            seconds,
            lookups,
            limits,
        };
        registry.register(
            "http_requests",
            "Requests served, by method, route and status class",
            metrics.requests.clone(),
        );
        // There from the start, so that an alert can tell none from no data.
        for (method, route) in routes::CALLS {
            for status in USUAL_CLASSES {
                drop(metrics.requests.get_or_create(&CallLabels { method, route, status }));
            }
        }
        registry.register_with_unit(
            "http_request_duration",
            "Time from the request head to the response head, by method and route",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        metrics
    }

    pub(super) fn count_limit(&self, limit: Limit) {
        self.limits.count(limit);
    }

    pub(super) fn count(&self, method: &Method, route: &'static str, status: StatusCode, took: Duration) {
        let (method, status) = (method_label(method), class(status));
        let labels = CallLabels { method, route, status };
        if labels == LOOKUP {
            self.lookups.0.inc();
            self.lookups.1.observe(took.as_secs_f64());
            return;
        }
        self.requests.get_or_create(&labels).inc();
        self.seconds
            .get_or_create(&RouteLabels { method, route })
            .observe(took.as_secs_f64());
    }
}

pub(super) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
