//! Discovery of the daemon, and that no secret is sent to another one.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::client::recorded_daemon::tests::DaemonLock;
use crate::client::rest::Rest;
use crate::client::websocket::{Identity, WebSocket};
use crate::failure::Exit;

struct DiscoveryFixture {
    directory: tempfile::TempDir,
    finder: Finder,
    /// Held while the daemon runs.
    locks: Vec<DaemonLock>,
}

impl DiscoveryFixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let finder = Finder {
            arguments: TargetOptions::default(),
            environment: TargetOptions::default(),
            default_paths: DefaultPaths {
                config: Some(directory.path().join("config.toml")),
                own_data_dir: Some(directory.path().join("presenced")),
                service_data_dir: Some(directory.path().join("service")),
            },
            timeout: Duration::from_secs(5),
        };
        Self {
            directory,
            finder,
            locks: Vec::new(),
        }
    }

    /// Locks the file as a daemon does.
    fn lock(&mut self, name: &str) {
        let lock = DaemonLock::take(&self.private(name, "1\n"));
        self.locks.push(lock);
    }

    fn with_daemon(mut self) -> Self {
        self.start_daemon("presenced", "http://127.0.0.1:7999", "local-secret");
        self
    }

    /// What a daemon leaves in this directory while it runs.
    fn start_daemon(&mut self, directory: &str, address: &str, secret: &str) {
        fs::create_dir_all(self.directory.path().join(directory)).unwrap();
        self.private(&format!("{directory}/address"), &format!("{address}\n"));
        self.private(&format!("{directory}/secret"), secret);
        self.lock(&format!("{directory}/lock"));
    }

    fn private(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn config(&self, text: &str) {
        fs::write(self.directory.path().join("config.toml"), text).unwrap();
    }

    fn found(&self) -> (String, Option<String>) {
        let target = self.finder.find().unwrap();
        let secret = match target.credential {
            Credential::Secret { secret, .. } | Credential::Token { token: secret, .. } => {
                Some(secret.expose().to_owned())
            }
            Credential::None => None,
        };
        (target.server.display(), secret)
    }
}

fn is(server: &str, secret: Option<&str>) -> (String, Option<String>) {
    (server.to_owned(), secret.map(str::to_owned))
}

#[test]
fn the_local_daemon_is_found_without_configuration() {
    let machine = DiscoveryFixture::new().with_daemon();
    assert_eq!(machine.found(), is("http://127.0.0.1:7999", Some("local-secret")));
}

#[test]
fn the_service_is_found_if_the_user_runs_no_daemon() {
    let mut machine = DiscoveryFixture::new();
    let service = is("http://127.0.0.1:7998", Some("service-secret"));
    machine.start_daemon("service", "http://127.0.0.1:7998", "service-secret");
    assert_eq!(machine.found(), service, "there is no other");
    assert_eq!(
        machine.finder.key_directory().unwrap(),
        machine.directory.path().join("service")
    );
    machine.start_daemon("presenced", "http://127.0.0.1:7999", "local-secret");
    assert_eq!(
        machine.found(),
        is("http://127.0.0.1:7999", Some("local-secret")),
        "the user's own comes first"
    );
    machine.locks.pop();
    assert_eq!(machine.found(), service, "the user's own does not run");
    // Neither runs: what is said is about the user's own.
    machine.locks.pop();
    let report = machine.finder.find().unwrap_err().report();
    assert!(report.contains("/presenced\""), "{report}");
    machine.finder.default_paths.own_data_dir = None;
    let report = machine.finder.find().unwrap_err().report();
    assert!(report.contains("/service\""), "{report}");
}

#[test]
fn a_daemon_with_another_data_directory_is_found_by_that() {
    let mut machine = DiscoveryFixture::new().with_daemon();
    fs::create_dir(machine.directory.path().join("other")).unwrap();
    machine.private("other/address", "http://127.0.0.1:7998\n");
    machine.private("other/secret", "other-secret");
    machine.lock("other/lock");
    let other = machine.directory.path().join("other");
    let others = is("http://127.0.0.1:7998", Some("other-secret"));
    machine.finder.environment.data_dir = Some(other.clone());
    assert_eq!(machine.found(), others, "by the environment");
    assert_eq!(machine.finder.key_directory().unwrap(), other);
    machine.finder.environment.server = Some("http://127.0.0.1:1".to_owned());
    machine.finder.environment.data_dir = None;
    machine.finder.arguments.data_dir = Some(other.clone());
    assert_eq!(machine.found(), others, "the option comes before the environment");
    assert_eq!(machine.finder.local_data_dir().unwrap(), Some(other));
    // Its secret is for the recorded address alone, and for that only while it runs.
    let target = machine.finder.find().unwrap();
    assert!(target.check_is_daemon().is_ok());
    machine.private("other/address", "http://127.0.0.1:7997\n");
    assert!(target.check_is_daemon().is_err());
    machine.locks.pop();
    assert_eq!(machine.finder.find().unwrap_err().exit(), Some(Exit::Unreachable));
}

#[test]
fn an_argument_selects_another_daemon_than_the_environment() {
    let mut machine = DiscoveryFixture::new().with_daemon();
    machine.finder.environment.data_dir = Some(machine.directory.path().join("other"));
    machine.finder.arguments.context = Some("local".to_owned());
    assert_eq!(machine.found(), is("http://127.0.0.1:7999", Some("local-secret")));
    machine.finder.arguments.context = None;
    machine.finder.arguments.server = Some("http://localhost:7999".to_owned());
    assert_eq!(machine.found(), is("http://127.0.0.1:7999", Some("local-secret")));
}

#[test]
fn a_missing_daemon_is_reported_with_how_to_start_one() {
    let failure = DiscoveryFixture::new().finder.find().unwrap_err();
    assert_eq!(failure.exit(), Some(Exit::Unreachable));
    assert!(
        failure.report().contains("start the daemon with `presenced`"),
        "{}",
        failure.report()
    );
}

#[test]
fn the_local_secret_goes_to_the_recorded_address_alone() {
    let mut machine = DiscoveryFixture::new().with_daemon();
    let recorded = "http://127.0.0.1:7999";
    for (server, used, secret) in [
        (recorded, recorded, Some("local-secret")),
        // Another program may listen on [::1]:7999.
        ("http://localhost:7999", recorded, Some("local-secret")),
        ("http://127.0.0.9:7999", "http://127.0.0.9:7999", None),
        ("http://[::1]:7999", "http://[::1]:7999", None),
        ("http://localhost:7998", "http://localhost:7998", None),
        ("http://127.0.0.1:7998", "http://127.0.0.1:7998", None),
        ("http://10.0.0.1:7999", "http://10.0.0.1:7999", None),
    ] {
        machine.finder.arguments.server = Some(server.to_owned());
        assert_eq!(machine.found(), is(used, secret), "{server}");
    }
}

#[test]
fn a_daemon_that_is_gone_is_sent_nothing() {
    let mut machine = DiscoveryFixture::new().with_daemon();
    let target = machine.finder.find().unwrap();
    assert!(target.check_is_daemon().is_ok());
    machine.locks.clear();
    let failure = target.check_is_daemon().unwrap_err();
    assert_eq!(failure.exit(), Some(Exit::Unreachable), "also found before it was gone");
    let secret = machine.private("presenced/secret", "local-secret");
    let token = machine.private("token", "a.b.c");
    type Named = fn(&mut TargetOptions, PathBuf, PathBuf);
    let named: [Named; 3] = [
        |_, _, _| {},
        |options, secret, _| options.secret_file = Some(secret),
        |options, _, token| options.token = Some(token),
    ];
    for name in named {
        machine.finder.arguments = TargetOptions::default();
        name(&mut machine.finder.arguments, secret.clone(), token.clone());
        let failure = machine.finder.find().unwrap_err();
        assert_eq!(failure.exit(), Some(Exit::Unreachable));
        assert!(
            failure.report().contains("no process holds the lock"),
            "{}",
            failure.report()
        );
    }
    machine.finder.arguments = TargetOptions::default();
    for server in ["http://127.0.0.1:7999", "http://localhost:7999"] {
        machine.finder.arguments.server = Some(server.to_owned());
        assert_eq!(machine.found(), is(server, None));
    }
}

#[tokio::test]
async fn requests_check_that_the_daemon_still_runs() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut machine = DiscoveryFixture::new().with_daemon();
    machine.private(
        "presenced/address",
        &format!("http://{}", listener.local_addr().unwrap()),
    );
    let target = machine.finder.find().unwrap();
    machine.locks.clear();
    let error = WebSocket::connect(&target, &Identity::Observer).await.err().unwrap();
    assert!(error.to_string().contains("no process holds the lock"), "{error}");
    let error = Rest::new(target).unwrap().stats().await.unwrap_err();
    assert!(error.to_string().contains("no process holds the lock"), "{error}");
}

#[test]
fn a_named_secret_for_a_found_address_is_sent_to_its_daemon_alone() {
    let mut machine = DiscoveryFixture::new().with_daemon();
    machine.finder.arguments.secret_file = Some(machine.private("mine", "my-secret"));
    let target = machine.finder.find().unwrap();
    assert_eq!(machine.found(), is("http://127.0.0.1:7999", Some("my-secret")));
    assert!(target.check_is_daemon().is_ok());
    machine.locks.clear();
    assert!(target.check_is_daemon().is_err());
}

#[test]
fn a_daemon_with_another_address_by_now_is_sent_nothing_at_the_old_one() {
    let machine = DiscoveryFixture::new().with_daemon();
    let target = machine.finder.find().unwrap();
    machine.private("presenced/address", "http://127.0.0.1:7998\n");
    assert!(target.check_is_daemon().is_err());
    assert_eq!(machine.found().0, "http://127.0.0.1:7998", "found anew");
}

#[test]
fn a_server_and_a_credential_that_are_both_named_belong_together() {
    let mut machine = DiscoveryFixture::new().with_daemon();
    machine.finder.arguments.secret_file = Some(machine.private("mine", "my-secret"));
    for server in ["http://127.0.0.1:7999", "http://127.0.0.9:7999"] {
        machine.finder.arguments.server = Some(server.to_owned());
        assert_eq!(machine.found(), is(server, Some("my-secret")));
        let target = machine.finder.find().unwrap();
        machine.locks.clear();
        assert!(target.check_is_daemon().is_ok());
    }
}

#[test]
fn arguments_precede_the_environment_and_the_current_context() {
    let mut machine = DiscoveryFixture::new().with_daemon();
    machine.config("current = \"a\"\n[contexts.a]\nserver = \"http://a:1\"\n[contexts.b]\nserver = \"http://b:1\"\n");
    assert_eq!(machine.found().0, "http://a:1");
    machine.finder.environment.context = Some("b".into());
    assert_eq!(machine.found().0, "http://b:1");
    machine.finder.environment.server = Some("http://c:1".into());
    assert_eq!(machine.found().0, "http://c:1");
    machine.finder.arguments.context = Some("local".into());
    assert_eq!(machine.found(), is("http://127.0.0.1:7999", Some("local-secret")));
    machine.finder.arguments.server = Some("http://d:1".into());
    assert_eq!(machine.finder.find().unwrap_err().exit(), Some(Exit::Usage));
    machine.finder.arguments.context = None;
    assert_eq!(machine.found().0, "http://d:1");
}

#[test]
fn a_context_uses_its_own_credential_and_never_the_local_one() {
    let mut machine = DiscoveryFixture::new().with_daemon();
    let secret = machine.private("prod", "prod-secret");
    machine.config(&format!(
        "current = \"a\"\n[contexts.a]\nserver = \"http://127.0.0.1:7999\"\nsecret-file = {secret:?}\n"
    ));
    assert_eq!(machine.found().1.as_deref(), Some("prod-secret"));
    machine.config("current = \"a\"\n[contexts.a]\nserver = \"http://127.0.0.1:7999\"\n");
    assert_eq!(machine.found().1, None);
    machine.finder.arguments.token = Some(machine.private("token", "a.b.c"));
    assert_eq!(machine.found().1.as_deref(), Some("a.b.c"));
}

#[test]
fn a_secret_file_selects_the_daemon_of_its_directory() {
    let mut machine = DiscoveryFixture::new();
    machine.lock("lock");
    let secret = machine.private("secret", "other-secret");
    fs::write(machine.directory.path().join("address"), "http://127.0.0.1:8111").unwrap();
    machine.finder.arguments.secret_file = Some(secret);
    assert_eq!(machine.found(), is("http://127.0.0.1:8111", Some("other-secret")));
    assert_eq!(machine.finder.key_directory().unwrap(), machine.directory.path());
}
