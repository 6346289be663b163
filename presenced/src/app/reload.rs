//! A reload (SIGHUP, or a request): secrets, keys, the certificate, the limits and some settings are read again and checked as a whole, before any of them takes
//! effect. What can't be read or is invalid changes nothing, is logged and shown in `/api/stats`. Nothing here ends the
//! daemon; connections whose secret or key was removed end at their next deadline.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use parking_lot::Mutex;
use presence::wire::rest::ReloadStats;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

use super::limits::LimitHolders;
use crate::auth::{Auth, AuthOptions, DemoKey, JwtKeyFile, JwtKeys};
use crate::clock::Clock;
use crate::config::{self, Config, DifferentSettings, Outcome};
use crate::data_dir::{self, DataDir, IfMissing};
use crate::engine::Engine;
use crate::error_text::ErrorText;
use crate::logging::LogLevel;
use crate::reload_requests::ReloadRequest;
use crate::request_id;
use crate::service_manager;
use crate::tls::{ServedIdentity, TlsIdentity};

/// How the last reload went, for whoever shows it.
pub(super) type LastReload = Arc<Mutex<Option<ReloadStats>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    outcome: &'static str,
}

/// Keeps how the last reload went, and counts reloads, by whether they took effect.
#[derive(Debug)]
pub(super) struct ReloadRecord {
    pub(super) last: LastReload,
    counters: Family<ReloadLabels, Counter>,
}

const TAKEN_OVER: ReloadLabels = ReloadLabels { outcome: "ok" };
const FAILED: ReloadLabels = ReloadLabels { outcome: "failed" };

impl ReloadRecord {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let counters = Family::default();
        for labels in [TAKEN_OVER, FAILED] {
            drop(counters.get_or_create(&labels));
        }
        registry.register(
            "reloads",
            "Reloads of secrets, keys, certificates and settings",
            counters.clone(),
        );
        let last = LastReload::default();
        Self { last, counters }
    }
}

/// What a reload reads, and what it changes.
pub(super) struct Reloader {
    /// The configuration in effect.
    pub(super) config: Config,
    pub(super) data_dir: Arc<DataDir>,
    /// The bound address, which stays.
    pub(super) address: SocketAddr,
    pub(super) auth: Arc<Auth>,
    /// Has the connections that a removed secret or key ends.
    pub(super) engine: Arc<Engine>,
    pub(super) limits: LimitHolders,
    pub(super) log_level: LogLevel,
    /// The certificate of the listeners, if they speak TLS.
    pub(super) tls: Option<Arc<ServedIdentity>>,
    pub(super) clock: Arc<Clock>,
    pub(super) record: ReloadRecord,
}

/// Everything that a reload brings, read and valid.
struct Reload {
    config: Config,
    auth: AuthOptions,
    different: DifferentSettings,
    tls: Option<TlsIdentity>,
}

impl Reloader {
    /// Reloads at each signal and each request. Never returns; may be dropped at any time.
    pub(super) async fn run(mut self, mut hangup: Signal, mut requests: mpsc::Receiver<ReloadRequest>) {
        // Neither ends before the daemon does.
        loop {
            let request = tokio::select! {
                _ = hangup.recv() => None,
                request = requests.recv() => request,
            };
            let (id, answer) = match request {
                Some(ReloadRequest { id, answer }) => (id, Some(answer)),
                None => (None, None),
            };
            service_manager::reloading();
            let outcome = match id {
                Some(id) => request_id::serving(id, self.reload()).await,
                None => self.reload().await,
            };
            service_manager::accepting(&status(self.address, &outcome));
            if let Some(answer) = answer {
                // Who asked may be gone.
                let _ = answer.send(outcome);
            }
        }
    }

    async fn reload(&mut self) -> ReloadStats {
        let (config, data_dir, address) = (self.config.clone(), Arc::clone(&self.data_dir), self.address);
        // A file may be on a disk or a pipe that does not answer, and SIGTERM must not wait for it.
        let read = tokio::task::spawn_blocking(move || Reload::read(&config, &data_dir, address)).await;
        let error = match read.map_err(anyhow::Error::from).and_then(|read| read) {
            Ok(reload) => return self.take_over(reload),
            Err(error) => ErrorText(&error).to_string(),
        };
        tracing::error!(error, "the reload failed; everything stays as it was");
        self.note(&FAILED, Some(error), DifferentSettings::default())
    }

    fn take_over(&mut self, reload: Reload) -> ReloadStats {
        let Reload {
            config,
            auth,
            mut different,
            tls,
        } = reload;
        let is_other_certificate = match (&self.tls, tls) {
            (Some(served), Some(identity)) => {
                super::tls::replace(served, identity, &self.data_dir, self.clock.system())
            }
            _ => false,
        };
        let before = self.engine.revoked_connections();
        let replaced = self.auth.replace(auth);
        let files = [
            ("secret", replaced.secrets),
            ("jwt-key", replaced.keys),
            ("tls-cert", is_other_certificate),
        ];
        let files = files
            .into_iter()
            .filter(|(name, is_new)| *is_new && !different.taken_over.contains(name));
        let files: Vec<_> = files.map(|(name, _)| name).collect();
        different.taken_over.extend(files);
        let ended = self.engine.revoked_connections().saturating_sub(before);
        self.limits.replace(&config.limits);
        self.log_level.set(config.log_level);
        self.config = config;
        tracing::info!(
            changed = different.taken_over.join(", "),
            "reloaded the secrets, the token keys, the certificate and the settings"
        );
        if ended > 0 {
            tracing::warn!(
                connections = ended,
                "the secret or key of these connections was removed; they end within a ping interval"
            );
        }
        super::warn_if_exposed(&self.config);
        if !different.restart_needed.is_empty() {
            tracing::warn!(
                settings = different.restart_needed.join(", "),
                "these settings differ and need a restart"
            );
        }
        self.note(&TAKEN_OVER, None, different)
    }

    fn note(&self, labels: &ReloadLabels, error: Option<String>, different: DifferentSettings) -> ReloadStats {
        self.record.counters.get_or_create(labels).inc();
        let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let outcome = ReloadStats {
            at: self.clock.record_time(None),
            error,
            changed: names(different.taken_over),
            restart_needed: names(different.restart_needed),
        };
        *self.record.last.lock() = Some(outcome.clone());
        outcome
    }
}

/// What a service manager shows after a reload.
fn status(address: SocketAddr, outcome: &ReloadStats) -> String {
    match &outcome.error {
        None => super::status(address),
        Some(error) => format!("{}; the last reload failed: {error}", super::status(address)),
    }
}

impl Reload {
    fn read(running: &Config, data_dir: &DataDir, address: SocketAddr) -> anyhow::Result<Self> {
        let Outcome::Run(new) = config::load(std::env::args_os(), std::env::vars_os())? else {
            bail!("the command line does not start a daemon");
        };
        let (config, different) = running.reloaded(*new)?;
        let auth = auth_options(&config, data_dir, address, IfMissing::Fail)?;
        let tls = super::tls::read(&config)?;
        Ok(Self {
            config,
            auth,
            different,
            tls,
        })
    }
}

/// The access settings of a configuration, with the secrets and the key in its files.
pub(super) fn auth_options(
    config: &Config,
    data_dir: &DataDir,
    listen: SocketAddr,
    if_missing: IfMissing,
) -> anyhow::Result<AuthOptions> {
    let secrets = data_dir.secrets(config.secret_file.as_deref(), if_missing);
    let setting = config.secret_file.as_ref().map_or("--data-dir", |_| "--secret-file");
    let secrets = secrets.map_err(|error| error.of_setting(setting))?;
    let (jwt, demo) = jwt_keys(config, data_dir, if_missing)?;
    Ok(AuthOptions {
        secrets,
        jwt,
        jwt_issuer: config.jwt_issuer.clone(),
        jwt_audience: config.jwt_audience.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        allowed_origins: config.allowed_origins.clone(),
        listen,
        scheme: config.scheme(),
        demo,
    })
}

/// The keys for users' tokens, and the one that signs those of the demonstration.
fn jwt_keys(config: &Config, data_dir: &DataDir, if_missing: IfMissing) -> anyhow::Result<(JwtKeys, Option<DemoKey>)> {
    let setting = match config.jwt_keys.is_empty() {
        true => "--data-dir",
        false => "--jwt-key",
    };
    let mut keys = JwtKeys::default();
    let mut demo = None;
    let files = data_dir.jwt_keys(&config.jwt_keys, if_missing);
    for (path, text) in files.map_err(|error| error.of_setting(setting))? {
        let invalid = || format!("{setting}: {path:?} is not a valid JWT key");
        let file = JwtKeyFile::parse(&text).with_context(invalid)?;
        if file.holds_secret() {
            data_dir::check_private(&path).map_err(|error| error.of_setting(setting))?;
        }
        if file.ignored() > 0 {
            let ignored = file.ignored();
            tracing::warn!(file = ?path, keys = ignored, "keys of this set are for something else, or unsupported: ignored");
        }
        keys.add(file).with_context(invalid)?;
        if config.demo {
            anyhow::ensure!(
                data_dir::is_generated_key(&text),
                "--demo lets anybody be any user: it needs the key that presenced made, and {path:?} is another; \
                 start it with a --data-dir of its own"
            );
            demo = Some(DemoKey::new(&text));
        }
    }
    Ok((keys, demo))
}
