//! Values that are not the default, for tests that go through all settings.

/// A value that is not the default.
pub(super) fn other_value(name: &str) -> &'static str {
    match name {
        "listen" | "metrics-listen" => "127.0.0.1:9",
        "database" => "postgres://ann@localhost/other",
        "database-password-file" => "/tmp/password",
        "redis" => "rediss://localhost/7",
        "partitions" => "17",
        "node-name" => "other",
        "advertise" => "http://localhost:7421",
        "lease" => "21s",
        "drain-rate" => "70",
        "node-grace" => "22s",
        "trusted-proxy" => "10.0.0.0/8",
        "allowed-origin" => "https://chat.example.org",
        "log-format" => "json",
        "log-level" => "debug",
        "insecure" | "demo" => "true",
        "ping-timeout" => "9s",
        "idle-after" => "301s",
        "restart-grace" => "31s",
        name if name.ends_with("timeout") || name.ends_with("interval") || name == "grace" => "21s",
        name if name.contains("max-") && name != "max-connections" || name.starts_with("bytes") => "17KiB",
        name if name.contains("per-") || name.contains("burst") || name.ends_with("-connections") => "17",
        "kept-for-websockets" => "17",
        _ => "/tmp/other",
    }
}

/// What a setting is of no use without.
pub(super) fn needed_by(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "database-password-file" => &[("PRESENCED_DATABASE", "postgres://ann@localhost/other")],
        "redis-password-file"
        | "redis-ca-file"
        | "advertise"
        | "partitions"
        | "lease"
        | "node-grace"
        | "drain-rate" => &[("PRESENCED_REDIS", "rediss://localhost")],
        "tls-cert" => &[("PRESENCED_TLS_KEY", "/tmp/key")],
        "tls-key" => &[("PRESENCED_TLS_CERT", "/tmp/certificate")],
        _ => &[],
    }
}
