//! Every setting from every source, and invalid configurations.

mod cluster;
mod documents;
mod other_values;
mod packaged;
mod reload;

use std::ffi::OsString;
use std::io::Write;

use self::other_values::{needed_by, other_value};
use super::settings::{Kind, SETTINGS};
use super::sources::variable_of;
use super::*;

fn load_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Outcome, ConfigError> {
    let arguments = std::iter::once("presenced")
        .chain(arguments.iter().copied())
        .map(OsString::from);
    let usual = [("HOME", "/home/op")].into_iter().chain(environment.iter().copied());
    load(arguments, usual.map(|(name, value)| (name.into(), value.into())))
}

fn config(arguments: &[&str], environment: &[(&str, &str)]) -> Config {
    match load_with(arguments, environment) {
        Ok(Outcome::Run(config)) => *config,
        other => panic!("{other:?}"),
    }
}

fn printed(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--print-config"]).collect();
    match load_with(&arguments, environment) {
        Ok(Outcome::Print(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn error_of(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let error = load_with(arguments, environment).expect_err("an error").to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

#[test]
fn every_setting_can_come_from_flag_environment_and_file() {
    for setting in SETTINGS {
        let (name, value) = (setting.name, other_value(setting.name));
        let variable = variable_of(setting);
        let (flag, toml) = match setting.kind {
            Kind::Switch => (vec![format!("--{name}")], format!("\n{name} = {value}")),
            Kind::One => (
                vec![format!("--{name}"), value.to_owned()],
                format!("\n{name} = \"{value}\""),
            ),
            Kind::Many => (vec![format!("--{name}={value}")], format!("\n{name} = [\"{value}\"]")),
        };
        let flag: Vec<&str> = flag.iter().map(String::as_str).collect();
        let line = |text: &str| {
            text.lines()
                .find(|line| line.starts_with(&format!("{name} = ")))
                .map(str::to_owned)
        };
        let file = file(&toml);
        let path = file.path().to_str().expect("a path");
        let with_needed = |arguments: &[&str], environment: &[(&str, &str)]| {
            printed(arguments, &[environment, needed_by(name)].concat())
        };
        let from_flag = line(&with_needed(&flag, &[(&variable, value), ("PRESENCED_CONFIG", path)])).expect(name);
        assert!(
            from_flag.contains(value) && from_flag.ends_with("# flag"),
            "{from_flag}"
        );
        let from_env = line(&with_needed(&["--config", path], &[(&variable, value)])).expect(name);
        assert!(
            from_env.contains(value) && from_env.ends_with(&format!("# {variable}")),
            "{from_env}"
        );
        let from_file = line(&with_needed(&["--config", path], &[])).expect(name);
        assert!(
            from_file.contains(value) && from_file.ends_with(&format!("# {path}:2")),
            "{from_file}"
        );
        let default = line(&printed(&[], &[]));
        assert!(
            default.is_none_or(|line| line.ends_with("# default") && !line.contains(value)),
            "{name}"
        );
    }
}

#[test]
fn a_database_url_with_a_password_is_refused_from_every_source() {
    let url = "postgres://ann:hunter2@db.example.org/presence";
    let file = file(&format!("database = \"{url}\""));
    let path = file.path().to_str().expect("a path");
    for (arguments, environment) in [
        (vec!["--database", url], vec![]),
        (vec!["--print-config", "--database", url], vec![]),
        (vec![], vec![("PRESENCED_DATABASE", url)]),
        (vec!["--config", path], vec![]),
    ] {
        let error = error_of(&arguments, &environment);
        assert!(error.contains("--database-password-file"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_password_file_without_a_postgresql_database_is_refused() {
    let flag = "--database-password-file=/tmp/password";
    let file = file("database-password-file = \"/tmp/password\"");
    let path = file.path().to_str().expect("a path");
    for (arguments, environment) in [
        (vec![flag], vec![]),
        (vec![flag, "--database=sqlite:/tmp/presence.db"], vec![]),
        (vec![], vec![("PRESENCED_DATABASE_PASSWORD_FILE", "/tmp/password")]),
        (vec!["--config", path], vec![]),
    ] {
        let error = error_of(&arguments, &environment);
        assert!(
            error.contains("--database-password-file is of no use without"),
            "{error}"
        );
        assert!(error.contains("--database postgres://"), "{error}");
    }
}

#[test]
fn the_output_of_print_config_is_a_valid_file() {
    let text = printed(
        &["--grace", "7s", "--trusted-proxy", "10.0.0.0/8,::1/128", "--insecure"],
        &[],
    );
    let file = file(&text);
    let again = config(&["--config", file.path().to_str().expect("a path")], &[]);
    assert_eq!(again.timers.grace, Duration::from_secs(7));
    assert!(matches!(&again.trusted_proxies, TrustedProxies::Named(nets) if nets.len() == 2));
    assert!(again.insecure);
}

#[test]
fn the_help_names_every_setting_and_its_default() {
    let Ok(Outcome::Print(help)) = load_with(&["--help"], &[]) else {
        panic!("no help")
    };
    for setting in SETTINGS {
        assert!(help.contains(&format!("--{}", setting.name)), "{}", setting.name);
    }
    assert!(help.contains("[default: 25s]"), "{help}");
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = config(&[], &[]);
    assert_eq!(config.listen.to_string(), "127.0.0.1:7420");
    assert_eq!(config.data_dir, PathBuf::from("/home/op/.local/state/presenced"));
    assert_eq!(
        config.database(),
        Database::Sqlite(PathBuf::from("/home/op/.local/state/presenced/presence.db"))
    );
    assert_eq!(config.limits, Limits::default());
    let seconds = [
        (config.timers.grace, 5),
        (config.timers.restart_grace, 30),
        (config.timers.idle_after, 300),
        (config.ping_interval, 25),
        (config.ping_timeout, 10),
    ];
    assert!(
        seconds
            .iter()
            .all(|(duration, seconds)| *duration == Duration::from_secs(*seconds)),
        "{seconds:?}"
    );
}

#[test]
fn xdg_state_home_overrides_home() {
    let config = config(&[], &[("XDG_STATE_HOME", "/state")]);
    assert_eq!(config.data_dir, PathBuf::from("/state/presenced"));
    let nowhere = load([OsString::from("presenced")], []).expect_err("no data directory");
    assert!(nowhere.to_string().contains("--data-dir"));
}

#[test]
fn an_invalid_key_value_or_relation_is_named_in_one_line() {
    type ConfigCase = (
        &'static [&'static str],
        &'static [(&'static str, &'static str)],
        &'static str,
    );
    let cases: &[ConfigCase] = &[
        (&["--grcae", "5s"], &[], "--grcae"),
        (&["--etcd", "etcd://x"], &[], "--etcd"),
        (&["extra"], &[], "extra"),
        (&["--grace", "5"], &[], "--grace"),
        (&["--grace"], &[], "--grace"),
        (&["--grace", "1s", "--grace", "2s"], &[], "--grace"),
        (&["--grace", "-1s"], &[], "-1s"),
        (&["--listen", "localhost:80"], &[], "--listen"),
        (&["--listen", "0.0.0.0:7420"], &[], "--insecure"),
        (&["--metrics-listen", "0.0.0.0:7420"], &[], "--insecure"),
        (&["--database", "mysql://localhost/x"], &[], "--database"),
        (
            &["--database", "postgres://localhost/x?sslmode=sometimes"],
            &[],
            "sslmode",
        ),
        (&["--trusted-proxy", "10.0.0.0/33"], &[], "10.0.0.0/33"),
        (&["--allowed-origin", "chat"], &[], "chat"),
        (&["--log-level", "loud"], &[], "loud"),
        (&["--messages-burst", "0"], &[], "--messages-burst"),
        (&["--max-message", "0"], &[], "--max-message"),
        (&["--idle-after", "0s"], &[], "--idle-after"),
        (&["--ping-timeout", "25s"], &[], "--ping-timeout"),
        (&["--grace", "31s"], &[], "--restart-grace"),
        (&["--idle-after", "25s"], &[], "--idle-after"),
        (&[], &[("PRESENCED_GRCAE", "5s")], "PRESENCED_GRCAE"),
        (&[], &[("PRESENCED_GRACE", "soon")], "PRESENCED_GRACE"),
        (&[], &[("PRESENCED_INSECURE", "yes")], "PRESENCED_INSECURE"),
        (&["--config", "/nonexistent/file"], &[], "/nonexistent/file"),
    ];
    for (arguments, environment, named) in cases {
        let error = error_of(arguments, environment);
        assert!(error.contains(named), "{arguments:?} {environment:?}: {error}");
    }
}

#[test]
fn an_invalid_file_is_named_with_the_line() {
    for (text, line) in [
        ("grace = \"5s\"\ngrcae = \"5s\"\n", 2),
        ("\n\n\ngrace = 5.5\n", 4),
        ("grace = \"5s\"\ngrace = \"6s\"\n", 2),
        ("[grace]\n", 1),
        ("grace \"5s\"\n", 1),
        ("# fine\ngrace = \"soon\"\n", 2),
        ("insecure = \"true\"\n", 1),
        ("trusted-proxy = [1]\n", 1),
    ] {
        let file = file(text);
        let error = error_of(&["--config", file.path().to_str().expect("a path")], &[]);
        assert!(error.contains(&format!(":{line}")), "{text:?}: {error}");
    }
}

#[test]
fn grace_and_restart_grace_may_both_be_zero() {
    let config = config(&["--grace", "0s", "--restart-grace", "0s"], &[]);
    assert_eq!(config.timers.restart_grace, Duration::ZERO);
}

#[test]
fn an_empty_list_of_proxies_trusts_nobody_and_the_default_is_told_apart() {
    assert_eq!(config(&[], &[]).trusted_proxies, TrustedProxies::Loopback);
    let nobody = TrustedProxies::Named(Vec::new());
    let file = file("trusted-proxy = []\n");
    let path = file.path().to_str().expect("a path");
    assert_eq!(config(&["--config", path], &[]).trusted_proxies, nobody);
    assert_eq!(config(&[], &[("PRESENCED_TRUSTED_PROXY", "")]).trusted_proxies, nobody);
    assert_eq!(config(&["--trusted-proxy="], &[]).trusted_proxies, nobody);
    assert!(printed(&["--config", path], &[]).contains("\ntrusted-proxy = [] # "));
    assert!(printed(&[], &[]).contains("\ntrusted-proxy = [\"loopback\"] # default\n"));
    let stated = config(&["--config", path, "--trusted-proxy", "loopback"], &[]);
    assert_eq!(stated.trusted_proxies, TrustedProxies::Loopback);
    let mixed = error_of(&["--trusted-proxy", "loopback,10.0.0.1"], &[]);
    assert!(mixed.contains("stands alone"), "{mixed}");
    for open in ["--listen=0.0.0.0:7420", "--metrics-listen=[::]:9"] {
        let error = error_of(&[open, "--trusted-proxy="], &[]);
        assert!(error.contains("--insecure"), "nobody is no proxy in front: {error}");
        assert!(error.starts_with(open.split('=').next().expect("a flag")), "{error}");
    }
}

#[test]
fn a_misspelt_setting_gets_a_suggestion_from_every_source() {
    let flag = error_of(&["--grase", "5s"], &[]);
    assert!(
        flag.contains("--grase") && flag.contains("similar argument exists: '--grace'"),
        "{flag}"
    );
    let variable = error_of(&[], &[("PRESENCED_GRASE", "5s")]);
    assert!(variable.contains("did you mean PRESENCED_GRACE?"), "{variable}");
    let file = file("grase = \"5s\"");
    let key = error_of(&["--config", file.path().to_str().expect("a path")], &[]);
    assert!(
        key.contains(":1: unknown setting \"grase\"; did you mean grace?"),
        "{key}"
    );
    let unlike = error_of(&["--etcd", "x"], &[]);
    assert!(!unlike.contains("similar"), "{unlike}");
}

#[test]
fn the_printed_configuration_says_what_holds_without_a_value() {
    let text = printed(&["--data-dir", "/data"], &[]);
    for line in [
        "# database is not set: sqlite:/data/presence.db",
        "# secret-file is not set: /data/secret, created at the first start",
        "# jwt-key is not set: /data/jwt-key, created at the first start",
        "# metrics-listen is not set: /metrics is served on the address of listen",
        "# max-connections is not set: 90 % of the limit on open files",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
    assert!(!text.contains("no value"), "{text}");
    let by_default = printed(&[], &[]);
    assert!(
        by_default.contains("sqlite:/home/op/.local/state/presenced/presence.db"),
        "{by_default}"
    );
}
