//! Discovery of the daemon, and that no secret is sent to another one.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::failure::Exit;

struct DiscoveryFixture {
    directory: tempfile::TempDir,
    finder: Finder,
}

impl DiscoveryFixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let finder = Finder {
            arguments: TargetOptions::default(),
            environment: TargetOptions::default(),
            default_paths: DefaultPaths {
                config: Some(directory.path().join("config.toml")),
                data_dir: Some(directory.path().join("presenced")),
            },
            timeout: Duration::from_secs(5),
        };
        Self { directory, finder }
    }

    fn with_daemon(self) -> Self {
        fs::create_dir(self.directory.path().join("presenced")).unwrap();
        fs::write(
            self.directory.path().join("presenced/address"),
            "http://127.0.0.1:7999\n",
        )
        .unwrap();
        self.private("presenced/secret", "local-secret");
        self
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
fn a_missing_daemon_is_reported_with_how_to_start_one() {
    let failure = DiscoveryFixture::new().finder.find().unwrap_err();
    assert_eq!(failure.exit(), Some(Exit::Unreachable));
    assert!(
        failure.report().contains("start it with `presenced`"),
        "{}",
        failure.report()
    );
}

#[test]
fn the_local_secret_goes_to_no_other_server() {
    let mut machine = DiscoveryFixture::new().with_daemon();
    for (server, secret) in [
        ("http://localhost:7999", Some("local-secret")),
        ("http://127.0.0.1:7998", None),
        ("http://10.0.0.1:7999", None),
    ] {
        machine.finder.arguments.server = Some(server.to_owned());
        assert_eq!(machine.found(), is(server, secret));
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
    let secret = machine.private("secret", "other-secret");
    fs::write(machine.directory.path().join("address"), "http://127.0.0.1:8111").unwrap();
    machine.finder.arguments.secret_file = Some(secret);
    assert_eq!(machine.found(), is("http://127.0.0.1:8111", Some("other-secret")));
    assert_eq!(machine.finder.key_directory().unwrap(), machine.directory.path());
}

#[test]
fn the_account_name_is_found_by_its_uid() {
    let passwd = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbroken\n";
    assert_eq!(name_of(1000, passwd).as_deref(), Some("alice"));
    assert_eq!(name_of(7, passwd), None);
}
