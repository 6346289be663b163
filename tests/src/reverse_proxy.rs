//! nginx, HAProxy, Caddy and Apache of Debian's packages in front of a daemon, configured by the recipes in `deploy/proxies`: addresses
//! and paths are replaced in them, and nothing else.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
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
const APACHE_MODULES: [&str; 9] = [
    "mpm_event",
    "authz_core",
    "proxy",
    "proxy_http",
    "rewrite",
    "headers",
    "reqtimeout",
    "setenvif",
    "ssl",
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

    /// The recipe as it stands, with this address and this certificate.
    fn configuration_with_tls(self, own: SocketAddr, certificate: &Certificate) -> String {
        let mut text = fs::read_to_string(repository().join("deploy/proxies").join(self.recipe())).expect("the recipe");
        let mut replace = |from: &str, to: &str| {
            assert_eq!(text.matches(from).count(), 1, "{}: {from:?}", self.recipe());
            text = text.replace(from, to);
        };
        let Certificate { chain, key, both } = certificate;
        match self {
            Self::Nginx => replace("listen 443 ssl;", &format!("listen {own} ssl;")),
            Self::Haproxy => replace(
                "bind :443 ssl crt /etc/haproxy/presence.pem",
                &format!("bind {own} ssl crt {}", both.display()),
            ),
            Self::Apache => replace("<VirtualHost *:443>", &format!("<VirtualHost {own}>")),
            Self::Caddy => {}
        }
        if matches!(self, Self::Nginx | Self::Apache) {
            replace("/etc/ssl/presence/fullchain.pem", &chain.display().to_string());
            replace("/etc/ssl/presence/key.pem", &key.display().to_string());
        }
        text
    }

    /// Has the proxy check its recipe as it stands, TLS included. Fails the test if it finds a fault.
    pub fn check_recipe(self) {
        let dir = tempfile::Builder::new()
            .prefix("presence-proxy-")
            .tempdir()
            .expect("a directory");
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let certificate = Certificate::in_directory(dir.path());
        let recipe = self.configuration_with_tls(own, &certificate);
        fs::write(dir.path().join("recipe"), recipe).expect("a file");
        if let Some(frame) = self.frame(dir.path(), own) {
            fs::write(dir.path().join("frame"), frame).expect("a file");
        }
        let mut words = self.command(dir.path());
        match self {
            Self::Nginx => words.push("-t".to_owned()),
            Self::Haproxy => words[1] = "-c".to_owned(),
            Self::Caddy => words[1] = "validate".to_owned(),
            Self::Apache => words[1] = "-t".to_owned(),
        }
        let mut checking = Command::new(&words[0]);
        let output = in_directory(&mut checking, dir.path()).args(&words[1..]).output();
        let output = output.expect("a proxy, which scripts/test installs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
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

/// A certificate for [`HOST`] that its own key has signed.
struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    /// The two in one file.
    both: PathBuf,
}

impl Certificate {
    fn in_directory(dir: &Path) -> Self {
        let [chain, key, both] = ["chain.pem", "key.pem", "both.pem"].map(|name| dir.join(name));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-nodes", "-days", "2", "-subj", &format!("/CN={HOST}")]);
        openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.arg("-out").arg(&chain).arg("-keyout").arg(&key);
        let output = openssl.output().expect("openssl, which scripts/test installs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let of_both = [&chain, &key].map(|path| fs::read_to_string(path).expect("a file"));
        fs::write(&both, of_both.concat()).expect("a file");
        Self { chain, key, both }
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
    in_directory(&mut Command::new("setsid"), dir)
        .args(["sh", "-c", script, "sh"])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell")
}

/// Lets a command find the proxies, and keep its own files there.
fn in_directory<'a>(command: &'a mut Command, dir: &Path) -> &'a mut Command {
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    command
        .current_dir(dir)
        .env("PATH", path)
        .env("HOME", dir)
        .env("XDG_DATA_HOME", dir)
        .env("XDG_CONFIG_HOME", dir)
}
