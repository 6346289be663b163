//! Starts programs as a container runtime would: in a root directory of their own that can't be written, as a user without privileges,
//! with a host name, an address and an environment of their own. That takes root, and the `ip` of iproute2.
//!
//! Where an image has nothing but the programs under test, the libraries of this machine are beside them: what the tests build is
//! linked to these. In the place of another image is this machine's file system.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::binaries;
use crate::process::{OwnedChild, Process};
use crate::wait::wait_until;

/// What a container has as its file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// The two programs, as the second stage of `deploy/Containerfile` has them.
    Programs,
    /// What this machine has, in the place of an image with a server.
    Machine,
}

/// A file or directory of this machine in a container.
#[derive(Debug, Clone)]
pub struct Mount {
    pub from: PathBuf,
    pub to: String,
    pub is_writable: bool,
}

/// How a container is started.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    pub host_name: String,
    /// In the network of 254 addresses.
    pub address: String,
    pub image: Image,
    pub user: u32,
    pub group: u32,
    pub further_group: Option<u32>,
    pub environment: Vec<(String, String)>,
    pub command: Vec<String>,
    pub mounts: Vec<Mount>,
    /// The addresses of names.
    pub hosts: Vec<(String, String)>,
}

/// A network of containers, of which this machine knows nothing.
#[derive(Debug)]
pub struct ContainerNetwork {
    /// Has the network until its standard input ends.
    holder: OwnedChild,
    containers: AtomicUsize,
}

/// A container that runs, until this is dropped.
#[derive(Debug)]
pub struct Container {
    spec: ContainerSpec,
    child: OwnedChild,
    dir: TempDir,
}

/// Waits for the line that a script writes when it is ready.
fn ready(child: &mut OwnedChild) {
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut line).unwrap();
    assert_eq!(
        line, "ready\n",
        "containers need root, and `ip` of the package iproute2"
    );
}

impl ContainerNetwork {
    /// Makes a network in which this process would have the address, if it took part.
    pub fn new(address: &str) -> Self {
        let script = format!(
            "ip link set lo up && ip link add bridge type bridge && ip addr add {address}/24 dev bridge && \
             ip link set bridge up && echo ready && exec cat >&2"
        );
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", &script]);
        let mut holder = OwnedChild::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        ready(&mut holder);
        Self {
            holder,
            containers: AtomicUsize::new(0),
        }
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// Runs a future in a thread that takes part in the network: what it connects to is there.
    pub fn inside<T: Send>(&self, run: impl AsyncFnOnce() -> T + Send) -> T {
        let path = self.path();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let network = File::open(path).unwrap();
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(run())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a container in this network.
    pub fn start(&self, spec: ContainerSpec) -> Container {
        let dir = tempfile::Builder::new()
            .prefix("presence-container-")
            .tempdir()
            .unwrap();
        fs::write(dir.path().join("hosts"), hosts(&spec)).unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new("unshare");
        command.args([
            "--net",
            "--mount",
            "--uts",
            "sh",
            "-euc",
            &script(&spec, dir.path()),
            "sh",
        ]);
        command.args(&spec.command).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = OwnedChild::spawn(command.stderr(log));
        ready(&mut child);
        let number = self.containers.fetch_add(1, Ordering::Relaxed);
        let link = format!(
            "ip link add link{number} type veth peer name eth0 netns {} && ip link set link{number} master bridge up",
            child.id()
        );
        let linked = Command::new("nsenter")
            .args([&format!("--net={}", self.path()), "sh", "-c", &link])
            .status();
        assert!(linked.unwrap().success(), "{link}");
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        Container { spec, child, dir }
    }
}

fn hosts(spec: &ContainerSpec) -> String {
    let own = [("localhost".to_owned(), "127.0.0.1".to_owned())];
    let lines = own.iter().chain(&spec.hosts);
    lines.map(|(name, address)| format!("{address} {name}\n")).collect()
}

/// What makes the root directory and becomes the program.
fn script(spec: &ContainerSpec, dir: &Path) -> String {
    let root = dir.join("root").display().to_string();
    let mut lines = vec![
        "echo ready; read -r _; exec </dev/null >&2".to_owned(),
        "ip link set lo up".to_owned(),
        format!("ip addr add {}/24 dev eth0; ip link set eth0 up", spec.address),
        format!("hostname {}", spec.host_name),
    ];
    let bound = |from: &Path, to: &str| {
        let (from, to) = (from.display(), format!("{root}{to}"));
        let parent = to.rsplit_once('/').unwrap().0.to_owned();
        let target = format!("if [ -d {from} ]; then mkdir -p {to}; else mkdir -p {parent}; : >>{to}; fi");
        format!("{target}; mount --bind {from} {to}")
    };
    match spec.image {
        Image::Programs => {
            lines.push(format!("mount -t tmpfs root {root}"));
            for library in ["/lib", "/lib64", "/usr/lib", "/etc/ssl/certs"] {
                lines.push(bound(&fs::canonicalize(library).unwrap(), library));
            }
            lines.push(bound(binaries::presenced(), "/usr/bin/presenced"));
            lines.push(bound(binaries::presencectl(), "/usr/bin/presencectl"));
        }
        Image::Machine => {
            let layers = dir.join("layers").display().to_string();
            lines.push(format!("mkdir {layers}; mount -t tmpfs layers {layers}"));
            lines.push(format!("mkdir {layers}/upper {layers}/work"));
            lines.push(format!(
                "mount -t overlay image -o lowerdir=/,upperdir={layers}/upper,workdir={layers}/work {root}"
            ));
        }
    }
    lines.push(bound(&dir.join("hosts"), "/etc/hosts"));
    for system in ["/proc", "/dev"] {
        lines.push(bound(Path::new(system), system));
    }
    for mount in &spec.mounts {
        lines.push(bound(&mount.from, &mount.to));
        if !mount.is_writable {
            lines.push(format!("mount -o remount,bind,ro {root}{}", mount.to));
        }
    }
    lines.push(format!("mount -o remount,ro {root}"));
    let groups = spec.further_group.map_or(String::new(), |group| group.to_string());
    let variables: Vec<String> = variables(spec).iter().map(|one| format!("'{one}'")).collect();
    lines.push(format!(
        "exec setpriv --no-new-privs env -i {} $(command -v chroot) --userspec={}:{} --groups='{groups}' {root} \"$@\"",
        variables.join(" "),
        spec.user,
        spec.group
    ));
    lines.join("\n")
}

fn variables(spec: &ContainerSpec) -> Vec<String> {
    let all = spec.environment.iter();
    all.map(|(name, value)| format!("{name}={value}")).collect()
}

impl Container {
    pub fn process(&self) -> Process {
        Process::of(self.child.id())
    }

    /// What it has written.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// A line of what the kernel says of the process, without its name.
    pub fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_start_matches(':').trim().to_owned()
    }

    /// Runs a command in the container, as its user and with its environment.
    pub fn execute(&self, command: &[String]) -> Output {
        let process = self.child.id().to_string();
        let mut run = Command::new("env");
        run.arg("-i").args(variables(&self.spec)).arg("/usr/bin/nsenter");
        run.args(["--target", &process, "--mount", "--net", "--uts", "--root", "--wd"]);
        run.args([
            format!("--setuid={}", self.spec.user),
            format!("--setgid={}", self.spec.group),
        ]);
        run.args(command).stdin(Stdio::null()).output().unwrap()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends a signal by its name, and waits for the end.
    pub async fn stop(&mut self, signal: &str) -> ExitStatus {
        let id = self.child.id().to_string();
        let kill = Command::new("kill")
            .args(["-s", signal.trim_start_matches("SIG"), &id])
            .status();
        assert!(kill.unwrap().success());
        wait_until("the container ends", async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}--- end ---", self.spec.host_name, self.log());
        }
    }
}
