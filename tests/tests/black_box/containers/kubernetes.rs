//! `deploy/kubernetes`: two pods of the Deployment with its configuration, secrets and volumes; their probes, and the end of one.

use std::path::Path;
use std::time::Duration;

use presence::Status;
use presence_tests::clock::Stopwatch;
use presence_tests::container::{Container, ContainerNetwork, ContainerSpec, Image, Mount};
use presence_tests::rest::{Rest, send};
use presence_tests::websocket::{HandshakeHeaders, shows};
use presence_tests::{Socket, wait_until};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::compose::Compose;
use super::containerfile::settings;
use super::{assert_unprivileged, documents, give, said, texts};

/// In the network of the pods that the configuration names, so that this process is a proxy there.
const GATEWAY: &str = "10.244.7.1";
const POSTGRES: &str = "10.244.7.13";
const REDIS: &str = "10.244.7.14";

/// What the files hold.
struct Manifests {
    deployment: Value,
    configuration: Value,
    secret: Value,
    directory: TempDir,
}

fn only(name: &str) -> Value {
    let mut all = documents(&format!("kubernetes/{name}.yaml"));
    assert_eq!(all.len(), 1, "{name}");
    all.remove(0)
}

impl Manifests {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        give(directory.path(), 0, 0, 0o755);
        Self {
            deployment: only("deployment"),
            configuration: only("configuration"),
            secret: only("secret.example"),
            directory,
        }
    }

    fn pod(&self) -> &Value {
        &self.deployment["spec"]["template"]["spec"]
    }

    fn daemon(&self) -> &Value {
        &self.pod()["containers"][0]
    }

    /// Writes the entries of a map into a directory, as the kubelet does.
    fn files(&self, name: &str, entries: &Value, mode: u32) -> std::path::PathBuf {
        let (directory, group) = (
            self.directory.path().join(name),
            number(&self.pod()["securityContext"]["fsGroup"]),
        );
        std::fs::create_dir(&directory).unwrap();
        for (name, text) in entries.as_object().unwrap() {
            let file = directory.join(name);
            std::fs::write(&file, text.as_str().unwrap()).unwrap();
            give(&file, 0, group, mode);
        }
        give(&directory, 0, group, 0o755);
        directory
    }

    /// The directory of a volume for the pod of that name.
    fn volume(&self, volume: &Value, pod: &str, compose: &Compose) -> std::path::PathBuf {
        let name = format!("{pod}-{}", volume["name"].as_str().unwrap());
        if volume.get("configMap").is_some() {
            let mut data = self.configuration["data"].clone();
            let text = data["presenced.toml"].as_str().unwrap();
            data["presenced.toml"] = here(text).into();
            return self.files(&name, &data, 0o644);
        }
        if let Some(secret) = volume.get("secret") {
            let mut data = self.secret["stringData"].clone();
            data["database-password"] = compose.secret("presenced-database-password").into();
            data["redis-password"] = compose.secret("presenced-redis-password").into();
            return self.files(&name, &data, number(&secret["defaultMode"]));
        }
        assert!(volume.get("emptyDir").is_some(), "{volume}");
        let directory = self.directory.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        give(&directory, 0, number(&self.pod()["securityContext"]["fsGroup"]), 0o2777);
        directory
    }

    /// A pod as the Deployment says, by a name and an address of its own.
    fn container(&self, pod: &str, address: &str, compose: &Compose) -> ContainerSpec {
        let (image, daemon, security) = (settings(), self.daemon(), &self.pod()["securityContext"]);
        let mut environment = image.environment.clone();
        for variable in daemon["env"].as_array().unwrap() {
            let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                Some("status.podIP") => address,
                Some("metadata.name") => pod,
                Some(other) => panic!("{other}"),
                None => variable["value"].as_str().unwrap(),
            };
            environment.insert(variable["name"].as_str().unwrap().to_owned(), value.to_owned());
        }
        let mut command = [image.entrypoint, texts(&daemon["args"])].concat();
        for (name, value) in &environment {
            command = command
                .iter()
                .map(|word| word.replace(&format!("$({name})"), value))
                .collect();
        }
        let volumes = self.pod()["volumes"].as_array().unwrap();
        let mount = |mount: &Value| Mount {
            from: self.volume(
                volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap(),
                pod,
                compose,
            ),
            to: mount["mountPath"].as_str().unwrap().to_owned(),
            is_writable: mount["readOnly"] != true,
        };
        ContainerSpec {
            host_name: pod.to_owned(),
            address: address.to_owned(),
            image: Image::Programs,
            user: number(&security["runAsUser"]),
            group: number(&security["runAsGroup"]),
            further_group: Some(number(&security["fsGroup"])),
            environment: environment.into_iter().collect(),
            command,
            mounts: daemon["volumeMounts"].as_array().unwrap().iter().map(mount).collect(),
            hosts: [("postgres.example.org", POSTGRES), ("redis.example.org", REDIS)]
                .map(|(name, address)| (name.to_owned(), address.to_owned()))
                .to_vec(),
        }
    }

    /// Waits until the pods have started, as the kubelet does, and fails the test unless they are ready and alive.
    async fn assert_probes(&self, addresses: &[&str; 2]) {
        for address in addresses {
            let started = async || (self.probe("startupProbe", address).await == Some(200)).then_some(());
            wait_until("the pod has started", started).await;
            for probe in ["readinessProbe", "livenessProbe"] {
                assert_eq!(self.probe(probe, address).await, Some(200));
            }
        }
        let metrics = format!("{}:7421", addresses[0]).parse().unwrap();
        let metrics = send(Rest::new(metrics, String::new()).request(Method::GET, "/metrics")).await;
        assert_eq!(metrics.status, 200);
    }

    /// The status of a probe's answer; none while nobody answers.
    async fn probe(&self, name: &str, address: &str) -> Option<u16> {
        let probe = &self.daemon()[name]["httpGet"];
        let named = |port: &&Value| port["name"] == probe["port"];
        let port = self.daemon()["ports"].as_array().unwrap().iter().find(named).unwrap();
        let address = format!("{address}:{}", port["containerPort"]).parse().unwrap();
        let request = Rest::new(address, String::new()).request(Method::GET, probe["path"].as_str().unwrap());
        presence_tests::rest::try_send(request)
            .await
            .map(|answer| answer.status)
    }
}

/// The configuration with the servers of this test, which have no TLS.
fn here(text: &str) -> String {
    let mut text = text.to_owned();
    for (from, to) in [
        (
            "sslmode=verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt",
            "sslmode=disable",
        ),
        ("rediss://", "redis://"),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, to);
    }
    text
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

#[test]
fn names_and_labels_of_the_files_lead_to_each_other() {
    let manifests = Manifests::new();
    let (spec, daemon) = (&manifests.deployment["spec"], manifests.daemon());
    let labels = &spec["template"]["metadata"]["labels"];
    let [services, budget, policy] =
        ["services", "disruption-budget", "network-policy"].map(|name| documents(&format!("kubernetes/{name}.yaml")));
    let selectors = services.iter().map(|service| &service["spec"]["selector"]);
    let matched = [
        &spec["selector"],
        &budget[0]["spec"]["selector"],
        &policy[0]["spec"]["podSelector"],
    ];
    for selector in selectors.chain(matched.map(|selector| &selector["matchLabels"])) {
        assert_eq!(selector, labels);
    }
    let ports: Vec<&Value> = daemon["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| &port["name"])
        .collect();
    let of_services = services
        .iter()
        .map(|service| &service["spec"]["ports"][0]["targetPort"]);
    let rules = policy[0]["spec"]["ingress"].as_array().unwrap();
    for port in of_services.chain(rules.iter().map(|rule| &rule["ports"][0]["port"])) {
        assert!(ports.contains(&port), "{port}");
    }
    for volume in manifests.pod()["volumes"].as_array().unwrap() {
        let name = volume["configMap"]["name"]
            .as_str()
            .or(volume["secret"]["secretName"].as_str());
        assert!(
            name.is_none_or(|name| name == manifests.secret["metadata"]["name"]),
            "{volume}"
        );
    }
    let text = manifests.configuration["data"]["presenced.toml"].as_str().unwrap();
    let connections = text.lines().find_map(|line| line.strip_prefix("max-connections = "));
    let connections: u64 = connections.unwrap().parse().unwrap();
    let grace = manifests.pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace >= connections / DRAIN_RATE + STOP_SECONDS, "the time to drain");
    // More than one pod may not be away, and the others are there before one goes.
    assert!(number(&spec["replicas"]) >= 2);
    assert_eq!(budget[0]["spec"]["maxUnavailable"], 1);
    assert_eq!(
        spec["strategy"]["rollingUpdate"],
        json!({"maxSurge": 1, "maxUnavailable": 0})
    );
    let resources: Vec<String> = texts(&only("kustomization")["resources"]);
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let is_applied = !["kustomization.yaml", "secret.example.yaml"].contains(&&*name);
        assert_eq!(resources.contains(&name), is_applied, "{name}");
    }
}

#[test]
fn pods_are_probed_drained_and_stopped_with_nobody_shown_offline() {
    let (manifests, compose, network) = (Manifests::new(), Compose::new(), ContainerNetwork::new(GATEWAY));
    let _servers = compose.start_servers(&network, |server| {
        let is_postgres = server.host_name == "postgres";
        server.address = if is_postgres { POSTGRES } else { REDIS }.to_owned();
    });
    let addresses = ["10.244.7.21", "10.244.7.22"];
    let names = ["presenced-one", "presenced-two"];
    let pods: Vec<Container> = (0..2)
        .map(|number| network.start(manifests.container(names[number], addresses[number], &compose)))
        .collect();
    let security = &manifests.daemon()["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(
        (&security["allowPrivilegeEscalation"], &security["capabilities"]["drop"]),
        (&json!(false), &json!(["ALL"]))
    );
    let [mut leaving, _stays] = <[Container; 2]>::try_from(pods).unwrap();
    let secret = manifests.secret["stringData"]["secret"].as_str().unwrap();
    let hook = texts(&manifests.daemon()["lifecycle"]["preStop"]["exec"]["command"]);
    let grace = Duration::from_secs(manifests.pod()["terminationGracePeriodSeconds"].as_u64().unwrap());
    network.inside(async || {
        manifests.assert_probes(&addresses).await;
        assert_unprivileged(&leaving, 65_532, 65_532);
        // For that long `minReadySeconds` keeps the next pod from being replaced.
        wait_until("both nodes take clients", async || {
            let listed = leaving.execute(&["/usr/bin/presencectl", "nodes", "-o", "json"].map(str::to_owned));
            let listed: Value = serde_json::from_str(&said(&listed)).unwrap();
            let nodes = listed["nodes"].as_array().unwrap().iter();
            (nodes.filter(|node| node["capacity"] != 0).count() == 2).then_some(())
        })
        .await;
        let (mut users, mut observer) = connect(&addresses, secret).await;
        let stopping = Stopwatch::start();
        let drained = said(&leaving.execute(&hook));
        assert!(drained.contains(names[0]), "{drained}");
        assert_eq!(manifests.probe("readinessProbe", addresses[0]).await, Some(503));
        assert_eq!(manifests.probe("livenessProbe", addresses[0]).await, Some(200));
        for (number, user) in users.iter_mut().enumerate() {
            assert_eq!(user.goodbye().await.1, "restart");
            *user = connected(addresses[1], number).await;
        }
        let ended = leaving.stop("SIGTERM").await;
        assert!(ended.success(), "{ended:?}");
        assert!(stopping.elapsed() < grace, "{:?}", stopping.elapsed());
        assert_nobody_was_offline(&mut observer, addresses[1], secret).await;
    });
}

/// What a node drains in a second, by default.
const DRAIN_RATE: u64 = 500;
/// The longest that a stop takes.
const STOP_SECONDS: u64 = 10;
const USERS: usize = 20;

async fn connected(address: &str, number: usize) -> Socket {
    let address = format!("{address}:7420").parse().unwrap();
    // By the ingress, whose address is trusted.
    let user = HandshakeHeaders::user(&format!("user-{number}")).with("x-forwarded-for", b"192.0.2.7");
    Socket::connect(address, user).await.unwrap()
}

/// Users of the first node, and an observer of the second.
async fn connect(addresses: &[&str; 2], secret: &str) -> (Vec<Socket>, Socket) {
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(connected(addresses[0], number).await);
    }
    let second = format!("{}:7420", addresses[1]).parse().unwrap();
    let mut observer = Socket::connect(second, HandshakeHeaders::observer(secret))
        .await
        .unwrap();
    observer.snapshot(json!({"type": "watchAll"})).await;
    (users, observer)
}

async fn assert_nobody_was_offline(observer: &mut Socket, node: &str, secret: &str) {
    let rest = Rest::new(format!("{node}:7420").parse().unwrap(), secret.to_owned());
    rest.set_custom_status_as_operator("user-0", "DO_NOT_DISTURB")
        .await
        .ok::<Value>();
    let seen = observer
        .updates_until("the last change", |update| {
            shows(update, "user-0", Status::DoNotDisturb)
        })
        .await;
    let is_offline = |number| {
        seen.iter()
            .any(|update| shows(update, &format!("user-{number}"), Status::Offline))
    };
    assert!(!(0..USERS).any(is_offline), "{seen:?}");
}
