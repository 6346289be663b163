//! `deploy/Containerfile`: what the build makes, and the container without further settings, with TLS, and with another port.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use presence::wire::record::Record;
use presence_tests::binaries::repository;
use presence_tests::certificates::Certificates;
use presence_tests::container::{Container, ContainerNetwork, ContainerSpec, Image, Mount};
use presence_tests::rest::Rest;
use presence_tests::tls_tunnel::TlsTunnel;
use presence_tests::wait_until;
use serde_json::Value;

use super::{assert_unprivileged, becomes_healthy, give, said};

/// What the last stage says of containers.
#[derive(Debug)]
pub(super) struct ImageSettings {
    pub(super) entrypoint: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) health_check: Vec<String>,
    pub(super) stop_signal: String,
    pub(super) volume: String,
    pub(super) ports: Vec<String>,
}

/// The instructions, each a word and its arguments; comments left out, and lines that go on joined.
fn instructions() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(repository().join("deploy/Containerfile")).unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let instructions = joined.lines().filter_map(|line| line.trim().split_once(' '));
    instructions
        .map(|(word, rest)| (word.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

/// The arguments of the instructions of that word in the last stage.
fn of_last_stage(word: &str) -> Vec<String> {
    let all = instructions();
    let stage = all.iter().rposition(|(word, _)| word == "FROM").unwrap();
    let found = all[stage..].iter().filter(|(other, _)| other == word);
    found.map(|(_, arguments)| arguments.clone()).collect()
}

fn only(word: &str) -> String {
    let found = of_last_stage(word);
    assert_eq!(found.len(), 1, "{word}: {found:?}");
    found[0].clone()
}

fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap()
}

/// What the last stage says.
pub(super) fn settings() -> ImageSettings {
    let (user, group) = only("USER")
        .split_once(':')
        .map(|(user, group)| (user.parse(), group.parse()))
        .unwrap();
    let pairs = only("ENV");
    let environment = pairs.split(' ').map(|pair| pair.split_once('=').unwrap());
    let health = only("HEALTHCHECK");
    ImageSettings {
        entrypoint: words(&only("ENTRYPOINT")),
        environment: environment
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        user: user.unwrap(),
        group: group.unwrap(),
        health_check: words(health.split_once("CMD ").unwrap().1),
        stop_signal: only("STOPSIGNAL"),
        volume: words(&only("VOLUME")).remove(0),
        ports: only("EXPOSE").split(' ').map(str::to_owned).collect(),
    }
}

impl ImageSettings {
    /// A container as the image alone says, with these further variables, and a volume.
    pub(super) fn container(&self, variables: &[(&str, &str)], volume: PathBuf) -> ContainerSpec {
        let mut environment = self.environment.clone();
        environment.extend(
            variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        ContainerSpec {
            host_name: "container".to_owned(),
            address: "172.30.76.2".to_owned(),
            image: Image::Programs,
            user: self.user,
            group: self.group,
            further_group: None,
            environment: environment.into_iter().collect(),
            command: self.entrypoint.clone(),
            mounts: vec![Mount {
                from: volume,
                to: self.volume.clone(),
                is_writable: true,
            }],
            hosts: Vec::new(),
        }
    }
}

#[test]
fn the_build_makes_what_the_image_takes() {
    let all = instructions();
    let runs: Vec<&String> = all
        .iter()
        .filter(|(word, _)| word == "RUN")
        .map(|(_, run)| run)
        .collect();
    let build = runs.iter().find(|run| run.starts_with("cargo build ")).unwrap();
    let metadata = Command::new("cargo")
        .args([
            "metadata",
            "--locked",
            "--offline",
            "--no-deps",
            "--format-version",
            "1",
        ])
        .current_dir(repository())
        .output();
    let metadata: Value = serde_json::from_str(&said(&metadata.unwrap())).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let targets: Vec<&Value> = packages
        .flat_map(|package| package["targets"].as_array().unwrap())
        .collect();
    let arguments: Vec<&str> = build.split(' ').collect();
    assert!(
        arguments.contains(&"--locked") && arguments.contains(&"--release"),
        "{build}"
    );
    for program in ["presenced", "presencectl"] {
        assert!(arguments.windows(2).any(|pair| pair == ["--bin", program]), "{build}");
        assert!(
            targets
                .iter()
                .any(|target| target["kind"][0] == "bin" && target["name"] == program)
        );
        let built = format!("/release/{program}\"");
        assert!(
            runs.iter()
                .any(|run| run.starts_with("install ") && run.contains(&built)),
            "{runs:?}"
        );
    }
    let version = metadata["packages"][0]["version"].as_str().unwrap();
    assert!(
        only("LABEL").contains(&format!("image.version=\"{version}\"")),
        "{version}"
    );
    let copied = of_last_stage("COPY").concat();
    for part in [
        "/image/usr/bin/ /usr/bin/",
        "--chown=65532:65532 /image/var/lib/presenced/",
    ] {
        assert!(copied.contains(part), "{copied}");
    }
    // `FROM` has the version that the workspace needs.
    let rust = metadata["packages"][0]["rust_version"].as_str().unwrap();
    let needed = rust.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    assert!(all[0].1.starts_with(&format!("rust:{needed}-")), "{:?}", all[0]);
}

/// A directory that the user of the image may write, as a runtime makes a volume.
fn volume(settings: &ImageSettings) -> tempfile::TempDir {
    let volume = tempfile::tempdir().unwrap();
    give(volume.path(), settings.user, settings.group, 0o755);
    volume
}

#[test]
fn a_container_that_others_could_reach_does_not_start_by_itself() {
    let (network, settings) = (ContainerNetwork::new("172.30.76.1"), settings());
    let volume = volume(&settings);
    let mut container = network.start(settings.container(&[], volume.path().to_owned()));
    let ended = network.inside(async || wait_until("it ends", async || container.has_ended()).await);
    assert!(!ended.success());
    let log = container.log();
    assert!(log.contains("--tls-cert") && log.contains("--trusted-proxy"), "{log}");
}

async fn set_status(rest: &Rest) {
    rest.set_custom_status_as_operator("alice", "IDLE").await.ok::<Record>();
}

#[test]
fn a_container_is_healthy_over_tls_on_another_port_until_it_hangs() {
    let (network, settings, certificates) = (ContainerNetwork::new("172.30.76.1"), settings(), Certificates::new());
    let volume = volume(&settings);
    assert!(settings.environment["PRESENCED_DATA_DIR"].starts_with(&settings.volume));
    assert!(settings.environment["PRESENCED_LISTEN"].ends_with(&format!(":{}", settings.ports[0])));
    let variables = [
        ("PRESENCED_LISTEN", "0.0.0.0:9443"),
        ("PRESENCED_TLS_CERT", "/run/tls/cert.pem"),
        ("PRESENCED_TLS_KEY", "/run/tls/key.pem"),
    ];
    let mut spec = settings.container(&variables, volume.path().to_owned());
    for name in ["cert.pem", "key.pem"] {
        give(&certificates.path(name), settings.user, settings.group, 0o400);
        spec.mounts.push(Mount {
            from: certificates.path(name),
            to: format!("/run/tls/{name}"),
            is_writable: false,
        });
    }
    let check = &settings.health_check;
    let mut container = network.start(spec.clone());
    network.inside(async || becomes_healthy(&container, check).await);
    assert_unprivileged(&container, settings.user, settings.group);
    let secret = std::fs::read_to_string(volume.path().join("data/secret")).unwrap();
    let use_it = async |container: &Container| {
        let tunnel = TlsTunnel::start("172.30.76.2:9443".parse().unwrap(), certificates.client()).await;
        let rest = Rest::new(tunnel.address(), secret.trim().to_owned());
        set_status(&rest).await;
        assert!(container.execute(check).status.success());
    };
    network.inside(async || use_it(&container).await);
    // A daemon that hangs is unhealthy; the check gives up before its runtime does.
    container.process().stop();
    let hanging = container.execute(check);
    assert_eq!(hanging.status.code(), Some(3), "{hanging:?}");
    container.process().resume();
    let stopped = network.inside(async || container.stop(&settings.stop_signal).await);
    assert!(stopped.success(), "{stopped:?}");
    drop(container);
    // What was set is there in the next container with the volume.
    let container = network.start(spec);
    network.inside(async || {
        becomes_healthy(&container, check).await;
        let tunnel = TlsTunnel::start("172.30.76.2:9443".parse().unwrap(), certificates.client()).await;
        let rest = Rest::new(tunnel.address(), secret.trim().to_owned());
        assert_eq!(rest.custom_status("alice").await, "IDLE");
    });
}
