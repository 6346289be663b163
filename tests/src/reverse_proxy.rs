//! nginx, HAProxy, Caddy and Apache of Debian's packages in front of a daemon, configured by the recipes in `deploy/proxies`: addresses
//! and paths are replaced in them, and nothing else.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::binaries::repository;
use crate::clock::Stopwatch;
use crate::ports::free_port;
use crate::wait::{DEADLINE, next_look_of_thread};

/// The address of the daemon in each recipe.
const DAEMON: &str = "127.0.0.1:7420";
/// The name of the host in each recipe.
pub const HOST: &str = "presence.example.org";
/// The user and group `nobody`, as which a proxy runs whose tests are run by root.
const NOBODY: u32 = 65534;
/// The modules of Apache that Debian loads, or that the recipe names.
const APACHE_MODULES: [&str; 8] = [
    "mpm_event",
    "authz_core",
    "proxy",
    "proxy_http",
    "rewrite",
    "headers",
    "reqtimeout",
    "setenvif",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    Nginx,
    Haproxy,
    Caddy,
    Apache,
}

/// How a recipe is changed for a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// The timeouts of the recipe.
    AsInTheRecipe,
    /// The timeout of a silent WebSocket, in seconds.
    Seconds(u32),
}

/// A proxy that runs, until this is dropped.
#[derive(Debug)]
pub struct ReverseProxy {
    address: SocketAddr,
    dir: TempDir,
    /// Ends the proxy when its standard input ends, with this process or before.
    guard: Child,
}

impl ProxyKind {
    fn recipe(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.conf",
            Self::Haproxy => "haproxy.cfg",
            Self::Caddy => "Caddyfile",
            Self::Apache => "apache.conf",
        }
    }

    /// The recipe with these addresses and without TLS.
    fn configuration(self, own: SocketAddr, daemon: SocketAddr, silence: Silence) -> String {
        let mut text = fs::read_to_string(repository().join("deploy/proxies").join(self.recipe())).expect("the recipe");
        let mut replace = |from: &str, to: &str, count: usize| {
            assert_eq!(text.matches(from).count(), count, "{}: {from:?}", self.recipe());
            text = text.replace(from, to);
        };
        replace(DAEMON, &daemon.to_string(), 1);
        match self {
            Self::Nginx => replace("listen 443 ssl;", &format!("listen {own};"), 1),
            Self::Haproxy => {
                replace("bind :443 ssl crt /etc/haproxy/presence.pem", &format!("bind {own}"), 1);
                // As many files as the tests have.
                replace("maxconn 40000", "maxconn 200", 1);
            }
            Self::Caddy => {
                let sites = format!("http://{own}, http://{HOST}:{} {{", own.port());
                replace(&format!("{HOST} {{"), &sites, 1);
            }
            Self::Apache => replace("<VirtualHost *:443>", &format!("<VirtualHost {own}>"), 1),
        }
        if let Silence::Seconds(seconds) = silence {
            match self {
                Self::Nginx => replace("proxy_read_timeout 90s;", &format!("proxy_read_timeout {seconds}s;"), 1),
                Self::Haproxy => replace("timeout tunnel 90s", &format!("timeout tunnel {seconds}s"), 1),
                Self::Caddy => {}
                Self::Apache => {
                    replace("Timeout 90\n", &format!("Timeout {seconds}\n"), 1);
                    replace(" timeout=90\n", &format!(" timeout={seconds}\n"), 1);
                }
            }
        }
        let is_of_tls = |line: &&str| {
            ["ssl_certificate", "SSL"]
                .iter()
                .any(|word| line.trim_start().starts_with(word))
        };
        let lines: Vec<&str> = text.lines().filter(|line| !is_of_tls(line)).collect();
        lines.join("\n") + "\n"
    }

    /// What stands around a recipe that is a part of a configuration, as in Debian's; the recipe is the file `recipe` there.
    fn frame(self, dir: &Path, own: SocketAddr) -> Option<String> {
        let dir = dir.display();
        match self {
            Self::Nginx => {
                let of_temporary = |kind| format!("{kind}_temp_path {dir}/{kind};");
                let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .map(of_temporary)
                    .concat();
                Some(format!(
                    "daemon off; master_process off; pid {dir}/pid; events {{}} http {{ access_log off; {temporary} include {dir}/recipe; }}"
                ))
            }
            Self::Apache => {
                let load = |name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
                Some(format!(
                    "ServerRoot {dir}\nServerName localhost\nListen {own}\nPidFile {dir}/pid\nErrorLog {dir}/log\nMutex file:{dir}\n\
                     DefaultRuntimeDir {dir}\n{}Include {dir}/recipe\n",
                    APACHE_MODULES.map(load).concat()
                ))
            }
            Self::Haproxy | Self::Caddy => None,
        }
    }

    fn command(self, dir: &Path) -> Vec<String> {
        let [recipe, frame, log] = ["recipe", "frame", "log"].map(|name| dir.join(name).display().to_string());
        let words = match self {
            Self::Nginx => vec!["nginx", "-c", &frame, "-e", &log],
            Self::Haproxy => vec!["haproxy", "-db", "-f", &recipe],
            Self::Caddy => vec!["caddy", "run", "--adapter", "caddyfile", "--config", &recipe],
            Self::Apache => vec!["apache2", "-X", "-f", &frame],
        };
        words.into_iter().map(str::to_owned).collect()
    }
}

impl ReverseProxy {
    /// Starts a proxy in front of the daemon at this address, and waits until it accepts.
    pub fn start(kind: ProxyKind, daemon: SocketAddr, silence: Silence) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("presence-proxy-")
            .tempdir()
            .expect("a directory");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut recipe = kind.configuration(address, daemon, silence);
        if kind == ProxyKind::Caddy {
            // Without the port by which it is configured, and which others of this machine may have.
            recipe.insert_str(0, "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\n");
        }
        fs::write(dir.path().join("recipe"), recipe).expect("a file");
        if let Some(frame) = kind.frame(dir.path(), address) {
            fs::write(dir.path().join("frame"), frame).expect("a file");
        }
        let guard = spawn(&kind.command(dir.path()), dir.path());
        let proxy = Self { address, dir, guard };
        let waiting = Stopwatch::start();
        while TcpStream::connect(address).is_err() {
            let is_late = waiting.elapsed() > DEADLINE;
            assert!(
                !is_late,
                "{kind:?} (which scripts/test installs) does not start: {}",
                proxy.log()
            );
            next_look_of_thread();
        }
        proxy
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has written.
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("output") + &read("log")
    }
}

impl Drop for ReverseProxy {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        if std::thread::panicking() {
            eprintln!("--- the proxy's log ---\n{}", self.log());
        }
    }
}

/// Runs the command as an unprivileged user in a session of its own, until the standard input of this child ends.
fn spawn(command: &[String], dir: &Path) -> Child {
    let is_root = fs::metadata("/proc/self").expect("/proc").uid() == 0;
    let mut words: Vec<String> = Vec::new();
    if is_root {
        let drop_rights = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        words.extend(drop_rights.map(str::to_owned));
        fs::set_permissions(dir, Permissions::from_mode(0o755)).expect("permissions");
        for path in fs::read_dir(dir).expect("files").flatten().map(|entry| entry.path()) {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("another owner");
        }
        chown(dir, Some(NOBODY), Some(NOBODY)).expect("another owner");
    }
    words.extend_from_slice(command);
    let script = "\"$@\" >output 2>&1 & proxy=$!; cat >/dev/null; kill -9 $proxy; wait $proxy";
    Command::new("setsid")
        .args(["sh", "-c", script, "sh"])
        .args(words)
        .current_dir(dir)
        .env(
            "PATH",
            format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()),
        )
        .env("HOME", dir)
        .env("XDG_DATA_HOME", dir)
        .env("XDG_CONFIG_HOME", dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell")
}
