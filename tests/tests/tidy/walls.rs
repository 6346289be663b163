//! Which module may name which. Arrows go one way: `api` and `gateway` call the engine, the engine calls the cluster, the
//! connections and the store, and only `app` builds. Tests build what they test, so they are free.

use crate::modules::{module_of, named};
use crate::sources::{SOURCES, Source};

/// The modules of one crate or of one module, and what each may name of the others.
struct Walls {
    /// The path of the sources, up to the root of the crate.
    root: &'static str,
    /// The module whose inner walls these are; empty for the crate's.
    within: &'static [&'static str],
    rows: &'static [(&'static str, &'static [&'static str])],
    /// Modules that may name all others.
    open: &'static [&'static str],
}

const PRESENCE: Walls = Walls {
    root: "presence/src/",
    within: &[],
    rows: &[
        ("node_name", &[]),
        ("status", &[]),
        ("time", &[]),
        ("user_id", &[]),
        ("rate_limit", &["time"]),
        ("revision", &["time"]),
        ("cursor", &["revision"]),
        // What is in grace keeps its activity, and a user's sessions hold the grace period.
        ("connection", &["sessions", "time"]),
        ("grace_period", &["sessions", "time"]),
        ("sessions", &["connection", "grace_period", "time"]),
        ("session_name", &["sessions"]),
        ("setter", &["sessions", "status"]),
        // A report knows what it has to be newer than, and the durable part holds the reports.
        ("durable_part", &["report", "status", "time"]),
        ("report", &["durable_part", "sessions", "status", "time"]),
        ("rule", &["durable_part", "report", "sessions", "status"]),
        (
            "wire",
            &[
                "cursor",
                "revision",
                "rule",
                "session_name",
                "sessions",
                "status",
                "time",
                "user_id",
            ],
        ),
        (
            "stored",
            &["durable_part", "revision", "rule", "sessions", "status", "time"],
        ),
        (
            "profile",
            &[
                "durable_part",
                "report",
                "revision",
                "rule",
                "sessions",
                "setter",
                "status",
                "stored",
                "time",
                "user_id",
                "wire",
            ],
        ),
        // What all nodes agree on, by the rule that one node alone applies.
        (
            "replication",
            &[
                "cursor",
                "durable_part",
                "profile",
                "report",
                "revision",
                "rule",
                "session_name",
                "sessions",
                "status",
                "stored",
                "time",
                "user_id",
            ],
        ),
        (
            "explain",
            &[
                "durable_part",
                "profile",
                "report",
                "rule",
                "sessions",
                "status",
                "time",
                "user_id",
                "wire",
            ],
        ),
    ],
    open: &[],
};

const PRESENCED: Walls = Walls {
    root: "presenced/src/",
    within: &[],
    rows: &[
        ("allocator", &[]),
        ("auth", &["percent", "revocation"]),
        ("clock", &[]),
        ("cluster", &["clock", "data_dir", "redis_url"]),
        ("error_text", &[]),
        ("files", &[]),
        ("limits", &[]),
        ("data_dir", &["files"]),
        ("exceeded_limit", &[]),
        ("percent", &[]),
        ("postgres_url", &["percent"]),
        ("redis_url", &[]),
        ("reload_requests", &["request_id"]),
        ("request_id", &[]),
        ("revocation", &[]),
        ("tcp", &[]),
        ("tls", &["data_dir", "tcp"]),
        ("vital", &[]),
        ("config", &["auth", "limits", "postgres_url", "redis_url"]),
        ("logging", &["config", "request_id", "vital"]),
        ("service_manager", &["clock", "vital"]),
        ("store", &["clock", "data_dir", "files", "postgres_url", "vital"]),
        (
            "connection",
            &["clock", "exceeded_limit", "limits", "revocation", "tcp", "tls"],
        ),
        (
            "server",
            &[
                "auth",
                "clock",
                "exceeded_limit",
                "limits",
                "request_id",
                "tls",
                "vital",
            ],
        ),
        (
            "engine",
            &[
                "clock",
                "cluster",
                "connection",
                "limits",
                "request_id",
                "revocation",
                "store",
                "vital",
            ],
        ),
        (
            "api",
            &[
                "auth",
                "clock",
                "engine",
                "exceeded_limit",
                "limits",
                "percent",
                "reload_requests",
                "request_id",
                "server",
                "tls",
            ],
        ),
        (
            "gateway",
            &[
                "auth",
                "clock",
                "connection",
                "engine",
                "exceeded_limit",
                "limits",
                "revocation",
                "server",
            ],
        ),
    ],
    open: &["app"],
};

const CONNECTION: Walls = Walls {
    root: "presenced/src/",
    within: &["connection"],
    rows: &[
        ("close_reason", &[]),
        ("drain", &["close_reason"]),
        ("frame", &[]),
        ("ready", &[]),
        ("socket", &[]),
        ("user_pin", &[]),
        ("watch_list", &["user_pin"]),
        ("wakeup", &[]),
        ("outbox", &["user_pin"]),
        ("send_progress", &[]),
        ("keepalive", &["close_reason", "frame", "send_progress"]),
        ("send", &["frame", "keepalive", "outbox", "user_pin"]),
    ],
    open: &[],
};

const PRESENCECTL: Walls = Walls {
    root: "presencectl/src/",
    within: &[],
    rows: &[
        ("clock", &[]),
        ("duration", &[]),
        ("rng", &[]),
        ("value_parsers", &["duration"]),
        // How an output that can't be written fails, and how a failure is written.
        ("failure", &["output"]),
        ("output", &["failure"]),
        ("cli", &["duration", "output", "value_parsers"]),
        ("context", &["failure", "output"]),
        ("client", &["context", "failure", "output", "rng"]),
        ("tui", &["client", "clock", "failure", "output"]),
    ],
    open: &["commands"],
};

const DASHBOARD: Walls = Walls {
    root: "presencectl/src/",
    within: &["tui"],
    rows: &[
        ("geometry", &[]),
        ("key", &["geometry"]),
        ("theme", &[]),
        ("effect", &["model"]),
        ("message", &["geometry", "key"]),
        ("keymap", &["key", "model"]),
        ("model", &["effect", "geometry", "key", "keymap"]),
        ("layout", &["geometry", "key", "keymap", "model"]),
        (
            "update",
            &["effect", "geometry", "key", "keymap", "layout", "message", "model"],
        ),
        ("view", &["geometry", "keymap", "layout", "model", "theme"]),
        ("export", &["effect", "message", "model"]),
        ("terminal", &["geometry", "key", "message"]),
        ("backend", &["effect", "event_loop", "export", "message"]),
    ],
    open: &["event_loop", "snapshot"],
};

const BENCH: Walls = Walls {
    root: "bench/src/",
    within: &[],
    rows: &[
        ("bare_http", &[]),
        ("callgrind", &[]),
        ("clock", &[]),
        ("frame", &[]),
        ("usage", &[]),
        ("user", &[]),
        ("poller", &[]),
        ("pipe", &["poller"]),
        ("record", &["user"]),
        ("cores", &["usage"]),
        ("conditions", &["clock", "cores", "usage"]),
        // One of its servers is the program itself.
        ("server", &["callgrind", "cores", "usage"]),
        ("generator", &["clock", "frame", "pipe", "poller", "server", "user"]),
        ("floor", &["frame", "pipe", "poller", "record", "user"]),
        ("measurement", &["clock", "conditions", "generator", "server", "usage"]),
        (
            "workloads",
            &[
                "clock",
                "conditions",
                "generator",
                "measurement",
                "median",
                "record",
                "server",
                "user",
            ],
        ),
        ("median", &[]),
        ("figure", &["conditions", "median", "workloads"]),
        ("run", &["figure", "workloads"]),
        ("table", &["conditions", "figure", "median", "workloads"]),
        ("history", &["clock", "conditions", "figure", "run", "table", "usage"]),
        ("instructions", &["history", "median", "server", "table", "workloads"]),
        ("arguments", &["workloads"]),
    ],
    open: &[],
};

impl Walls {
    /// The arrows that no row allows, and the rows and modules that miss each other.
    fn breaches(&self, sources: &[Source]) -> Vec<String> {
        let mut found = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for source in sources.iter().filter(|source| source.name.starts_with(self.root)) {
            let module = module_of(&source.name);
            let Some(from) = inner(&module, self.within) else {
                continue;
            };
            seen.insert(from.to_owned());
            if source.is_test() || self.open.contains(&from) {
                continue;
            }
            let Some((_, allowed)) = self.rows.iter().find(|(module, _)| *module == from) else {
                found.push(format!("{}: the module {from} has no row in this test", source.name));
                continue;
            };
            for named in named(source).iter().filter(|named| !named.is_in_tests) {
                let to = inner(&named.path, self.within).unwrap_or_default();
                if to != from && self.modules().any(|module| module == to) && !allowed.contains(&to) {
                    found.push(format!("{}:{}: {from} must not name {to}", source.name, named.line));
                }
            }
        }
        let gone = self.modules().filter(|module| !seen.contains(*module));
        found.extend(gone.map(|module| format!("{}: there is no module {module}", self.root)));
        found
    }

    fn modules(&self) -> impl Iterator<Item = &'static str> {
        self.rows
            .iter()
            .map(|(module, _)| *module)
            .chain(self.open.iter().copied())
    }
}

/// The module of a path that lies right within another.
fn inner<'a>(path: &'a [String], within: &[&str]) -> Option<&'a str> {
    let starts = path.iter().zip(within).all(|(one, other)| one == other);
    path.get(within.len()).filter(|_| starts).map(String::as_str)
}

#[test]
fn modules_name_only_the_modules_below_them() {
    let walls = [PRESENCE, PRESENCED, CONNECTION, PRESENCECTL, DASHBOARD, BENCH];
    let found: Vec<String> = walls.iter().flat_map(|walls| walls.breaches(&SOURCES)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn an_arrow_that_no_row_allows_is_found() {
    const WALLS: Walls = Walls {
        root: "x/src/",
        within: &["house"],
        rows: &[("attic", &["hall"]), ("hall", &[])],
        open: &[],
    };
    let source = |name: &str, text: &str| Source::new(name, text.to_owned());
    let found = WALLS.breaches(&[
        source("x/src/house/attic.rs", "use super::hall::Stairs;\n"),
        source("x/src/house/hall/mod.rs", "use crate::{garden, house::attic::Box};\n"),
        source("x/src/house/hall/tests.rs", "use crate::house::attic;\n"),
        source("x/src/house/cellar.rs", ""),
    ]);
    let expected = [
        "x/src/house/hall/mod.rs:1: hall must not name attic",
        "x/src/house/cellar.rs: the module cellar has no row in this test",
    ];
    assert_eq!(found, expected);
}
