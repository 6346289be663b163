//! `deploy/compose.yaml`: all of its services run as it says, with what `deploy/compose/prepare` makes.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use presence::Status;
use presence::wire::record::Update;
use presence::wire::server_message::ServerMessage;
use presence_tests::binaries::repository;
use presence_tests::certificates::Certificates;
use presence_tests::container::{Container, ContainerNetwork, ContainerSpec, Image, Mount};
use presence_tests::jwt::{claims, hs256};
use presence_tests::rest::Rest;
use presence_tests::tls_tunnel::TlsTunnel;
use presence_tests::wait::within;
use presence_tests::websocket::{HandshakeHeaders, shows};
use presence_tests::{Socket, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::containerfile::{ImageSettings, settings};
use super::{assert_unprivileged, becomes_healthy, documents, give, said, texts};

/// The file, with a directory for what belongs beside it and for the volumes.
pub(super) struct Compose {
    pub(super) file: Value,
    directory: TempDir,
    image: ImageSettings,
}

/// `deploy/compose/prepare` for this directory.
fn prepare(directory: &Path) {
    let script = repository().join("deploy/compose/prepare");
    said(&Command::new(script).arg(directory).output().unwrap());
}

impl Compose {
    pub(super) fn new() -> Self {
        Self::with_certificate(None)
    }

    /// With a certificate for the proxy in place.
    fn with_certificate(certificates: Option<&Certificates>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        give(directory.path(), 0, 0, 0o755);
        if let Some(certificates) = certificates {
            let both = ["cert.pem", "key.pem"].map(|name| std::fs::read_to_string(certificates.path(name)).unwrap());
            let file = directory.path().join("secrets/proxy-certificate");
            std::fs::create_dir(file.parent().unwrap()).unwrap();
            std::fs::write(&file, both.concat()).unwrap();
            give(&file, 99, 99, 0o600);
        }
        prepare(directory.path());
        let file = documents("compose.yaml").remove(0);
        // Two files for each client, and some of its own, which a machine of tests may not have.
        let files = file["services"]["proxy"]["ulimits"]["nofile"].as_u64().unwrap();
        assert!(files >= 2 * 40_000 + 100, "{files}");
        let recipe = directory.path().join("haproxy.cfg");
        let text = std::fs::read_to_string(&recipe).unwrap();
        assert_eq!(text.matches("maxconn 40000").count(), 1);
        std::fs::write(recipe, text.replace("maxconn 40000", "maxconn 200")).unwrap();
        Self {
            file,
            directory,
            image: settings(),
        }
    }

    fn service(&self, name: &str) -> &Value {
        &self.file["services"][name]
    }

    /// A path of the file on this machine.
    fn path(&self, text: &str) -> PathBuf {
        self.directory.path().join(text.strip_prefix("./compose/").expect(text))
    }

    pub(super) fn secret(&self, name: &str) -> String {
        let path = self.path(self.file["secrets"][name]["file"].as_str().unwrap());
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }

    fn user_of(&self, name: &str) -> (u32, u32) {
        let user = self.service(name)["user"].as_str().unwrap();
        let (user, group) = user.split_once(':').unwrap();
        (user.parse().unwrap(), group.parse().unwrap())
    }

    fn mounts(&self, name: &str) -> Vec<Mount> {
        let (user, group) = self.user_of(name);
        let mut mounts = Vec::new();
        for secret in texts(&self.service(name)["secrets"]) {
            mounts.push(Mount {
                from: self.path(self.file["secrets"][&secret]["file"].as_str().unwrap()),
                to: format!("/run/secrets/{secret}"),
                is_writable: false,
            });
        }
        let directories = texts(&self.service(name)["tmpfs"]);
        let volumes = texts(&self.service(name)["volumes"]);
        for text in volumes.iter().chain(&directories) {
            let parts: Vec<&str> = text.split(':').collect();
            let is_file = parts[0].starts_with("./");
            let (from, to) = match (is_file, parts[0].starts_with('/')) {
                (true, _) => (self.path(parts[0]), parts[1]),
                // Of a directory in memory the options follow.
                (false, true) => (self.directory.path().join(format!("{name}-{}", mounts.len())), parts[0]),
                (false, false) => (self.directory.path().join(parts[0]), parts[1]),
            };
            if !is_file && !from.exists() {
                std::fs::create_dir(&from).unwrap();
                give(&from, user, group, 0o700);
            }
            let is_writable = parts.get(2) != Some(&"ro");
            let to = to.to_owned();
            mounts.push(Mount { from, to, is_writable });
        }
        mounts
    }

    /// The container of a service.
    pub(super) fn container(&self, name: &str) -> ContainerSpec {
        let (service, (user, group)) = (self.service(name), self.user_of(name));
        let is_own = service["image"].as_str().unwrap().starts_with("presenced:");
        let mut environment = match is_own {
            true => self.image.environment.clone(),
            false => BTreeMap::from([("PATH".to_owned(), programs())]),
        };
        for (name, value) in service["environment"].as_object().into_iter().flatten() {
            environment.insert(name.clone(), value.as_str().unwrap().to_owned());
        }
        let services = self.file["services"].as_object().unwrap().iter();
        ContainerSpec {
            host_name: service["hostname"].as_str().unwrap_or(name).to_owned(),
            address: address(service),
            image: if is_own { Image::Programs } else { Image::Machine },
            user,
            group,
            further_group: None,
            environment: environment.into_iter().collect(),
            command: match is_own {
                true => [self.image.entrypoint.clone(), texts(&service["command"])].concat(),
                false => texts(&service["command"]),
            },
            mounts: self.mounts(name),
            hosts: services
                .map(|(name, service)| (name.clone(), address(service)))
                .collect(),
        }
    }

    /// The command of the health check.
    fn check(&self, name: &str) -> Vec<String> {
        let Some(check) = self.service(name).get("healthcheck") else {
            return self.image.health_check.clone();
        };
        let mut words = texts(&check["test"]);
        assert_eq!(words.remove(0), "CMD", "without a shell");
        words
    }

    /// PostgreSQL and Redis, healthy, at these addresses if they are others.
    pub(super) fn start_servers(
        &self,
        network: &ContainerNetwork,
        change: impl Fn(&mut ContainerSpec),
    ) -> Vec<Container> {
        let mut postgres = self.container("postgres");
        // What the image does before it starts the server; it makes the database of that name too.
        let make = "set -e; d=$PGDATA; initdb -D $d --username=$POSTGRES_USER --pwfile=$POSTGRES_PASSWORD_FILE \
                    $POSTGRES_INITDB_ARGS --no-sync >&2; echo \"host all all all scram-sha-256\" >>$d/pg_hba.conf; \
                    exec postgres -D $d -c listen_addresses='*' -c unix_socket_directories=/run/postgresql -c fsync=off";
        postgres.command = ["sh", "-c", make].map(str::to_owned).to_vec();
        postgres
            .environment
            .push(("PGDATA".to_owned(), "/var/lib/postgresql/data/server".to_owned()));
        let mut redis = self.container("redis");
        change(&mut postgres);
        change(&mut redis);
        let servers = vec![network.start(postgres), network.start(redis)];
        network.inside(async || {
            becomes_healthy(&servers[0], &self.check("postgres")).await;
            becomes_healthy(&servers[1], &self.check("redis")).await;
        });
        let create = "PGPASSWORD=$(cat $POSTGRES_PASSWORD_FILE) createdb -h 127.0.0.1 -U $POSTGRES_USER $POSTGRES_DB";
        said(&servers[0].execute(&["/bin/sh", "-c", create].map(str::to_owned)));
        servers
    }
}

/// Where this machine has the programs of other images.
fn programs() -> String {
    let mut versions: Vec<String> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map(|version| version.unwrap().path().join("bin").display().to_string())
        .collect();
    versions.sort();
    format!("{}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", versions.join(":"))
}

fn address(service: &Value) -> String {
    service["networks"]["presence"]["ipv4_address"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A duration in seconds, as `15s`.
fn seconds(text: &Value) -> Duration {
    Duration::from_secs(text.as_str().unwrap().trim_end_matches('s').parse().unwrap())
}

#[test]
fn prepare_makes_files_for_the_users_of_containers_and_replaces_none() {
    let compose = Compose::new();
    let services = compose.file["services"].as_object().unwrap();
    let mut given = Vec::new();
    for (name, service) in services {
        let (user, group) = compose.user_of(name);
        for secret in texts(&service["secrets"]) {
            let path = compose.path(compose.file["secrets"][&secret]["file"].as_str().unwrap());
            let metadata = std::fs::metadata(path).unwrap();
            assert_eq!(
                (metadata.uid(), metadata.gid(), metadata.mode() & 0o777),
                (user, group, 0o600),
                "{secret}"
            );
            given.push(secret);
        }
    }
    let secrets: Vec<&String> = compose.file["secrets"].as_object().unwrap().keys().collect();
    assert!(secrets.iter().all(|secret| given.contains(secret)), "{secrets:?}");
    let before = secrets.iter().map(|secret| compose.secret(secret)).collect::<Vec<_>>();
    prepare(compose.directory.path());
    let after = secrets.iter().map(|secret| compose.secret(secret)).collect::<Vec<_>>();
    assert!(before == after, "they stay as they are");
}

#[test]
fn every_service_is_hardened_and_the_proxy_alone_is_reached_from_outside() {
    let file = documents("compose.yaml").remove(0);
    for (name, service) in file["services"].as_object().unwrap() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        assert_ne!(service["user"].as_str().unwrap().split(':').next(), Some("0"), "{name}");
        assert!(
            service["image"].as_str().unwrap().contains(':'),
            "{name} names a version"
        );
        assert_eq!(service.get("ports").is_some(), name == "proxy", "{name}");
        assert!(seconds(&service["stop_grace_period"]) > Duration::ZERO, "{name}");
    }
}

const NODE_B: &str = "172.30.77.12:7420";
const PROXY: &str = "172.30.77.10:8443";
const USERS: usize = 4;

fn user(number: usize) -> String {
    format!("user-{number}")
}

/// Clients of the proxy, and the secret of the daemons.
struct Clients {
    tunnel: TlsTunnel,
    jwt_key: String,
    secret: String,
}

impl Clients {
    async fn connected(&self, number: usize) -> Socket {
        let token = hs256(&self.jwt_key, &claims(&user(number), 300));
        let connecting = async || {
            let headers = HandshakeHeaders::bearer(&token);
            Socket::connect(self.tunnel.address(), headers).await.ok()
        };
        wait_until("a user is connected by the proxy", connecting).await
    }

    /// An observer of everybody at the node that stays.
    async fn observer(&self) -> Socket {
        let secret = HandshakeHeaders::observer(&self.secret);
        let mut observer = Socket::connect(NODE_B.parse().unwrap(), secret).await.unwrap();
        observer.snapshot(json!({"type": "watchAll"})).await;
        observer
    }

    /// Connects those again whom a daemon has told that it restarts. How many there were.
    async fn come_back(&self, users: &mut [Socket]) -> usize {
        let mut moved = 0;
        for (number, user) in users.iter_mut().enumerate() {
            let is_told = |message: &ServerMessage| matches!(message, ServerMessage::Goodbye { .. });
            if user.unseen().iter().any(is_told) {
                *user = self.connected(number).await;
                moved += 1;
            }
        }
        moved
    }

    /// Fails the test if the observer was told that a user is OFFLINE.
    async fn assert_nobody_was_offline(&self, observer: &mut Socket) {
        let rest = Rest::new(NODE_B.parse().unwrap(), self.secret.clone());
        assert_eq!(rest.record(&user(0)).await.status, Status::Idle);
        rest.set_custom_status_as_operator(&user(1), "DO_NOT_DISTURB")
            .await
            .ok::<Value>();
        let is_last = |update: &Update| shows(update, &user(1), Status::DoNotDisturb);
        let seen = observer.updates_until("the last change", is_last).await;
        let is_offline = |number| seen.iter().any(|update| shows(update, &user(number), Status::Offline));
        assert!(!(0..USERS).any(is_offline), "{seen:?}");
    }
}

/// Both daemons of the file, healthy, each of which knows the other.
fn start_daemons(compose: &Compose, network: &ContainerNetwork) -> [Container; 2] {
    let names = ["presenced-a", "presenced-b"];
    let daemons = names.map(|name| network.start(compose.container(name)));
    network.inside(async || {
        for (daemon, name) in daemons.iter().zip(names) {
            becomes_healthy(daemon, &compose.check(name)).await;
        }
        wait_until("the daemons know each other", async || {
            let listed = daemons[0].execute(&["/usr/bin/presencectl", "nodes", "-o", "json"].map(str::to_owned));
            let listed: Value = serde_json::from_str(&said(&listed)).unwrap();
            let nodes = listed["nodes"].as_array().unwrap().iter();
            (nodes.map(|node| &node["name"]).collect::<Vec<_>>() == ["a", "b"]).then_some(())
        })
        .await;
    });
    daemons
}

#[test]
fn two_daemons_behind_the_proxy_serve_users_while_one_is_stopped() {
    let certificates = Certificates::new();
    let compose = Compose::with_certificate(Some(&certificates));
    let network = ContainerNetwork::new("172.30.77.1");
    let _servers = compose.start_servers(&network, |_| {});
    let [mut stopped, _stays] = start_daemons(&compose, &network);
    let (owner, group) = compose.user_of("presenced-a");
    assert_unprivileged(&stopped, owner, group);
    let proxy = network.start(compose.container("proxy"));
    let grace = seconds(&compose.service("presenced-a")["stop_grace_period"]);
    network.inside(async || {
        let clients = Clients {
            tunnel: TlsTunnel::start(PROXY.parse().unwrap(), certificates.client()).await,
            jwt_key: compose.secret("presenced-jwt-key"),
            secret: compose.secret("presenced-secret"),
        };
        let mut observer = clients.observer().await;
        // The proxy brings each to the node that has fewer.
        let mut users = Vec::new();
        for number in 0..USERS {
            users.push(clients.connected(number).await);
        }
        users[0].set_custom_status("IDLE").await;
        let stopping = stopped.stop(&compose.image.stop_signal);
        let ended = within("the daemon ends in its time", grace, stopping).await;
        assert!(ended.success(), "{ended:?}");
        wait_until("those who were connected to it come back", async || {
            (clients.come_back(&mut users).await > 0).then_some(())
        })
        .await;
        clients.assert_nobody_was_offline(&mut observer).await;
    });
    assert!(proxy.status("Uid").starts_with("99"));
}
