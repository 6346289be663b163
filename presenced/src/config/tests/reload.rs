//! What a reload takes over of another configuration.

use std::path::PathBuf;

use super::config;
use super::other_values::other_value;
use crate::config::settings;

#[test]
fn a_reload_takes_over_access_and_log_level_and_names_the_rest() {
    let running = config(&["--data-dir", "/data"], &[]);
    let new = [
        "--data-dir",
        "/data",
        "--secret-file=/s",
        "--jwt-key=/k",
        "--jwt-issuer=i",
        "--jwt-audience=a",
        "--trusted-proxy=10.0.0.1",
        "--allowed-origin=https://app.example",
        "--log-level=debug",
        "--grace=6s",
        "--listen=127.0.0.1:1",
        "--ping-interval=26s",
    ];
    let (reloaded, different) = running.reloaded(config(&new, &[])).expect("a configuration");
    assert_eq!(different.restart_needed, ["listen", "grace", "ping-interval"]);
    assert_eq!(reloaded.listen, running.listen);
    assert_eq!(reloaded.timers, running.timers);
    assert_eq!(reloaded.secret_file, Some(PathBuf::from("/s")));
    assert_eq!(reloaded.jwt_keys, [PathBuf::from("/k")]);
    assert_eq!(reloaded.jwt_issuer.as_deref(), Some("i"));
    assert_eq!(reloaded.jwt_audience.as_deref(), Some("a"));
    assert!(reloaded.trusted_proxies.has_named());
    assert_eq!(reloaded.allowed_origins.len(), 1);
    assert_eq!(reloaded.log_level, tracing::Level::DEBUG);
    let (_, different) = reloaded.reloaded(config(&new, &[])).expect("a configuration");
    assert_eq!(
        different.restart_needed,
        ["listen", "grace", "ping-interval"],
        "still not in effect"
    );
    assert_eq!(different.taken_over, Vec::<&str>::new(), "in effect");
}

#[test]
fn a_reload_takes_over_every_limit() {
    let limits = settings::SETTINGS.iter().filter(|setting| setting.heading == "Limits");
    let names: Vec<&str> = limits.map(|setting| setting.name).collect();
    let flags = names.iter().map(|name| format!("--{name}={}", other_value(name)));
    let flags: Vec<String> = flags.collect();
    let new = config(&flags.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let limits = new.limits.clone();
    let (reloaded, different) = config(&[], &[]).reloaded(new).expect("a configuration");
    assert_eq!(different.taken_over, names);
    assert_eq!(reloaded.limits, limits);
}

#[test]
fn a_reload_that_contradicts_what_stays_is_an_error() {
    let running = config(&["--listen=0.0.0.0:7420", "--trusted-proxy=10.0.0.1"], &[]);
    let new = config(&["--listen=127.0.0.1:7420"], &[]);
    let error = running.reloaded(new).expect_err("an open listener without a proxy");
    assert!(error.to_string().contains("--trusted-proxy"), "{error}");
}
