//! The settings of a node that shares its users with others.

use super::*;
use crate::redis_url::RedisTransport;

fn refused(arguments: &[&str]) -> String {
    error_of(arguments, &[])
}

#[test]
fn a_node_is_alone_unless_it_is_given_a_redis() {
    let config = config(&[], &[]);
    assert!(config.cluster.redis.is_empty());
    assert_eq!((config.cluster.partitions, config.node_name), (16, None));
    let durations = (config.cluster.lease, config.cluster.node_grace);
    assert_eq!(durations, (Duration::from_secs(15), Duration::from_secs(12)));
    assert!(super::config(&["--redis="], &[]).cluster.redis.is_empty());
    let text = printed(&[], &[]);
    for line in [
        "redis = [] # default",
        "partitions = \"16\" # default",
        "lease = \"15s\" # default",
        "# redis-password-file is not set: no password is sent to Redis",
        "# redis-ca-file is not set: the certificates that the system trusts",
        "# node-name is not set: the name of the host",
        "# advertise is not set: the bound address",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
}

#[test]
fn the_servers_of_a_redis_cluster_come_from_flags_or_a_list() {
    for (arguments, environment) in [
        (vec!["--redis", "rediss://a:1", "--redis", "rediss://b:2"], vec![]),
        (vec!["--redis", "rediss://a:1,rediss://b:2"], vec![]),
        (vec![], vec![("PRESENCED_REDIS", "rediss://a:1, rediss://b:2")]),
    ] {
        let redis = config(&arguments, &environment).cluster.redis;
        let names: Vec<String> = redis.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a:1", "b:2"]);
        assert!(redis.iter().all(|url| url.transport == RedisTransport::Tls));
    }
}

#[test]
fn a_redis_address_with_a_password_is_refused_from_every_source() {
    let url = "redis://ann:hunter2@localhost";
    let file = file(&format!("redis = \"{url}\""));
    let path = file.path().to_str().expect("a path");
    for (arguments, environment) in [
        (vec!["--redis", url], vec![]),
        (vec!["--print-config", "--redis", url], vec![]),
        (vec![], vec![("PRESENCED_REDIS", url)]),
        (vec!["--config", path], vec![]),
    ] {
        let error = error_of(&arguments, &environment);
        assert!(error.contains("--redis-password-file"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn settings_of_a_cluster_that_contradict_each_other_are_refused() {
    let redis = "--redis=redis://localhost";
    for (arguments, part) in [
        (vec!["--redis-password-file=/p"], "of no use without --redis"),
        (vec!["--redis=", "--redis-ca-file=/ca"], "of no use without --redis"),
        (vec!["--advertise=http://a:1"], "of no use without --redis"),
        (vec!["--partitions=8"], "--partitions is of no use without --redis"),
        (vec!["--lease=5s"], "--lease is of no use without --redis"),
        (vec!["--node-grace=5s"], "--node-grace is of no use without --redis"),
        (vec!["--drain-rate=5"], "--drain-rate is of no use without --redis"),
        (vec![redis, "--redis-ca-file=/ca"], "rediss://"),
        (vec![redis, "--redis=rediss://localhost:1"], "one Redis Cluster"),
        (
            vec![redis, "--redis=redis://ann@b", "--redis-password-file=/p"],
            "one Redis Cluster",
        ),
        (vec!["--redis=redis://ann@a"], "needs a password"),
        (vec!["--redis=redis://a/1,redis://b/1"], "the database 0 alone"),
        (vec![redis, "--partitions=0"], "from 1 to 64"),
        (vec![redis, "--partitions=65"], "from 1 to 64"),
        (vec![redis, "--lease=0s"], "from 1s to 300s"),
        (vec![redis, "--lease=301s"], "from 1s to 300s"),
        (vec!["--node-name="], "1 to 255 bytes"),
        (vec!["--node-name= a"], "1 to 255 bytes"),
        (vec!["--node-name=a\tb"], "1 to 255 bytes"),
    ] {
        let error = refused(&arguments);
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    assert!(refused(&["--node-name", &"x".repeat(256)]).contains("255"));
}

#[test]
fn a_node_alone_may_name_the_defaults_of_a_cluster() {
    let defaults = ["--partitions=16", "--lease=15s", "--node-grace=12s", "--drain-rate=500"];
    assert!(config(&defaults, &[]).cluster.redis.is_empty());
}

#[test]
fn the_advertised_address_is_host_and_port_of_a_url() {
    for (url, expected) in [
        ("http://10.0.0.1:7420", "10.0.0.1:7420"),
        ("HTTP://Node-A.internal:7420/", "node-a.internal:7420"),
        ("http://node-a", "node-a:80"),
        ("http://[fd00::1]:7420", "[fd00::1]:7420"),
        ("https://node-a.example:7420", "https://node-a.example:7420"),
        ("https://node-a.example", "https://node-a.example:443"),
    ] {
        let named = config(&["--redis=redis://a", "--advertise", url], &[]);
        assert_eq!(named.cluster.advertise.as_deref(), Some(expected));
        let named = config(&["--redis=redis://a"], &[("PRESENCED_ADVERTISE", url)]);
        assert_eq!(named.cluster.advertise.as_deref(), Some(expected));
    }
    let file = file("redis = [\"redis://a\"]\nadvertise = \"http://node-a:7420\"");
    let path = file.path().to_str().expect("a path");
    let named = config(&["--config", path], &[]);
    assert_eq!(named.cluster.advertise.as_deref(), Some("node-a:7420"));
}

#[test]
fn an_address_that_leads_to_no_node_is_not_advertised() {
    for (url, part) in [
        ("", "expected http://HOST:PORT"),
        ("node-a:7420", "expected http://HOST:PORT"),
        ("null", "expected http://HOST:PORT"),
        ("http://", "expected http://HOST:PORT"),
        ("http://a b:1", "expected http://HOST:PORT"),
        ("http://node-a:7420/api", "expected http://HOST:PORT"),
        ("http://ann@node-a:7420", "expected http://HOST:PORT"),
        ("http://node-a:0", "expected http://HOST:PORT"),
        ("http://node-a:65536", "expected http://HOST:PORT"),
        ("ws://node-a:7420", "expected http://HOST:PORT"),
        ("https://node-a:0", "expected http://HOST:PORT"),
        ("https://[::]:7420", "no node is reached at ::"),
        ("http://0.0.0.0:7420", "no node is reached at 0.0.0.0"),
        ("http://[::]:7420", "no node is reached at ::"),
    ] {
        let error = refused(&["--redis=redis://a", "--advertise", url]);
        assert!(error.contains("--advertise") && error.contains(part), "{url}: {error}");
    }
    let error = refused(&["--advertise=http://node-a:7420"]);
    assert!(error.contains("of no use without --redis"), "{error}");
}

#[test]
fn the_settings_of_a_cluster_need_a_restart() {
    let running = config(&["--redis=redis://a", "--lease=5s"], &[]);
    let flags = [
        "--redis=redis://b",
        "--lease=6s",
        "--node-name=n",
        "--advertise=http://n:1",
    ];
    let new = config(&flags, &[]);
    let (reloaded, different) = running.reloaded(new).expect("a configuration");
    assert_eq!(different.restart_needed, ["redis", "node-name", "advertise", "lease"]);
    assert_eq!(reloaded.cluster, running.cluster);
}
