//! Discovery of the daemon and the credential, from the arguments, the environment, the contexts and the data directory
//! of a daemon on this machine, in that order. A credential is sent only to the server it belongs to: what was found in a
//! data directory, and any credential for an address that was found there, goes to the daemon of that directory alone.

mod default_paths;
mod trust;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use self::default_paths::DefaultPaths;
use super::private_file::{self, Secret, display_path};
use super::recorded_daemon::RecordedDaemon;
use super::server_url::ServerUrl;
use super::tls::ClientTls;
use crate::context::{self, Context, Contexts};
use crate::failure::Failure;

/// The options from one source: arguments or environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct TargetOptions {
    /// `--server`, `PRESENCECTL_SERVER`.
    pub(crate) server: Option<String>,
    /// `--data-dir`, `PRESENCECTL_DATA_DIR`.
    pub(crate) data_dir: Option<PathBuf>,
    /// `--secret-file`, `PRESENCECTL_SECRET_FILE`.
    pub(crate) secret_file: Option<PathBuf>,
    /// `--ca-file`, `PRESENCECTL_CA_FILE`.
    pub(crate) ca_file: Option<PathBuf>,
    /// `--token`, `PRESENCECTL_TOKEN_FILE`.
    pub(crate) token: Option<PathBuf>,
    /// `--context`, `PRESENCECTL_CONTEXT`.
    pub(crate) context: Option<String>,
}

impl TargetOptions {
    /// Reads the environment; an empty variable counts as unset.
    pub(crate) fn from_environment() -> Self {
        let text = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            server: text("PRESENCECTL_SERVER"),
            data_dir: text("PRESENCECTL_DATA_DIR").map(PathBuf::from),
            secret_file: text("PRESENCECTL_SECRET_FILE").map(PathBuf::from),
            ca_file: text("PRESENCECTL_CA_FILE").map(PathBuf::from),
            token: text("PRESENCECTL_TOKEN_FILE").map(PathBuf::from),
            context: text("PRESENCECTL_CONTEXT"),
        }
    }
}

/// What authenticates requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The internal secret.
    Secret {
        path: PathBuf,
        secret: Secret,
        /// The second one in the file: during a rotation the daemon may know that one alone.
        other: Option<Secret>,
    },
    /// A user's token.
    Token {
        path: PathBuf,
        token: Secret,
    },
    None,
}

impl Credential {
    /// What to send if the daemon rejects this one.
    pub(crate) fn other(&self) -> Option<Self> {
        match self {
            Self::Secret {
                path,
                secret,
                other: Some(other),
            } => Some(Self::Secret {
                path: path.clone(),
                secret: other.clone(),
                other: Some(secret.clone()),
            }),
            Self::Secret { .. } | Self::Token { .. } | Self::None => None,
        }
    }
}

/// A daemon with its credential.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) server: ServerUrl,
    pub(crate) credential: Credential,
    /// How it was found, for messages.
    pub(crate) found: String,
    /// Its data directory, if it runs on this machine.
    pub(crate) data_dir: Option<PathBuf>,
    /// How long to wait for an answer of it.
    pub(crate) timeout: Duration,
    /// How its certificate is verified; none without TLS.
    pub(crate) tls: Option<ClientTls>,
    /// The one daemon that may be sent the credential; none if the operator named both.
    pub(crate) only_for: Option<RecordedDaemon>,
}

impl Target {
    /// Fails if a credential may not be sent there now: the daemon may be gone, and its address another program's. Called
    /// before each request.
    pub(crate) fn check_is_daemon(&self) -> Result<(), Failure> {
        match &self.only_for {
            Some(daemon) => daemon.check_is_at(&self.server),
            None => Ok(()),
        }
    }
}

/// Where the server's address comes from.
enum Source {
    Named(String, &'static str),
    Context(String, Context),
    DataDir,
}

/// Everything that selects the daemon. Evaluated before each reconnect, since a restarted daemon may have another
/// address.
#[derive(Debug, Clone)]
pub(crate) struct Finder {
    pub(crate) arguments: TargetOptions,
    pub(crate) environment: TargetOptions,
    pub(crate) default_paths: DefaultPaths,
    /// `--timeout`.
    pub(crate) timeout: Duration,
}

impl Finder {
    /// Finds the daemon and reads the credential.
    pub(crate) fn find(&self) -> Result<Target, Failure> {
        let target = self.find_without_credential()?;
        let given = self.given_credential(&self.source()?)?;
        let (credential, only_for) = match (given, target.only_for) {
            (Some(given), None) => (given, None),
            (Some(given), Some(daemon)) => {
                // The address was found and not named, or it was named and so is the credential.
                let is_named = matches!(self.source()?, Source::Named(..));
                (given, (!is_named).then_some(daemon))
            }
            (None, Some(daemon)) => (secret_in(daemon.directory())?, Some(daemon)),
            (None, None) => (Credential::None, None),
        };
        Ok(Target {
            credential,
            only_for,
            ..target
        })
    }

    /// Finds the daemon, for requests that need no credential.
    pub(crate) fn find_without_credential(&self) -> Result<Target, Failure> {
        let source = self.source()?;
        let ca_file = self.ca_file(&source);
        let (server, found, daemon) = match source {
            Source::Named(url, from) => {
                let named = ServerUrl::parse(&url)?;
                match self.local_daemon_at(&named) {
                    Some((daemon, address)) => (address, from.to_owned(), Some(daemon)),
                    None => (named, from.to_owned(), None),
                }
            }
            Source::Context(name, context) => (
                ServerUrl::parse(&context.server)?,
                format!("the context {name:?}"),
                None,
            ),
            Source::DataDir => {
                let daemon = RecordedDaemon::new(self.usual_data_dir().ok_or_else(no_home)?);
                let found = format!("the data directory {}", display_path(daemon.directory()));
                (daemon.address()?, found, Some(daemon))
            }
        };
        let tls = trust::of(&server, ca_file.as_deref(), daemon.as_ref())?;
        Ok(Target {
            server,
            tls,
            credential: Credential::None,
            found,
            data_dir: daemon.as_ref().map(|daemon| daemon.directory().to_owned()),
            only_for: daemon,
            timeout: self.timeout,
        })
    }

    /// The directory with the `jwt-key`: that of the secret file in use, else the local daemon's data directory.
    pub(crate) fn key_directory(&self) -> Result<PathBuf, Failure> {
        let source = self.source()?;
        let of_context = match &source {
            Source::Context(_, context) => context.secret_file.clone(),
            Source::Named(..) | Source::DataDir => None,
        };
        let secret_file = self
            .arguments
            .secret_file
            .clone()
            .or(of_context)
            .or_else(|| self.environment.secret_file.clone());
        let beside = secret_file.and_then(|path| path.parent().map(Path::to_path_buf));
        beside
            .or_else(|| self.named_data_dir())
            .or_else(|| self.default_paths.data_dir())
            .ok_or_else(no_home)
    }

    /// The user that the context names.
    pub(crate) fn user(&self) -> Result<Option<String>, Failure> {
        Ok(match self.source()? {
            Source::Context(_, context) => context.user,
            Source::Named(..) | Source::DataDir => None,
        })
    }

    /// The contexts with the path of their file.
    pub(crate) fn contexts(&self) -> Result<(PathBuf, Contexts), Failure> {
        let path = self.default_paths.config.clone().ok_or_else(no_home)?;
        let contexts = Contexts::load(&path)?;
        Ok((path, contexts))
    }

    fn source(&self) -> Result<Source, Failure> {
        let TargetOptions {
            server,
            data_dir,
            context,
            ..
        } = &self.arguments;
        one_of(&[
            ("--server", server.is_some()),
            ("--data-dir", data_dir.is_some()),
            ("--context", context.is_some()),
        ])?;
        for (wanted, from) in [(&self.arguments, "--server"), (&self.environment, "PRESENCECTL_SERVER")] {
            if let Some(server) = &wanted.server {
                return Ok(Source::Named(server.clone(), from));
            }
            if wanted.data_dir.is_some() {
                return Ok(Source::DataDir);
            }
            if let Some(name) = &wanted.context {
                return self.context(name);
            }
        }
        let current = match &self.default_paths.config {
            Some(path) => Contexts::load(path)?.current,
            None => None,
        };
        current.map_or(Ok(Source::DataDir), |name| self.context(&name))
    }

    fn context(&self, name: &str) -> Result<Source, Failure> {
        if name == context::LOCAL {
            return Ok(Source::DataDir);
        }
        let (_, contexts) = self.contexts()?;
        Ok(Source::Context(name.to_owned(), contexts.get(name)?.clone()))
    }

    /// The data directory of the selected daemon, if it belongs to this machine.
    pub(crate) fn local_data_dir(&self) -> Result<Option<PathBuf>, Failure> {
        Ok(match self.source()? {
            Source::Context(..) => None,
            Source::DataDir => self.usual_data_dir(),
            Source::Named(url, _) => {
                let local = self.local_daemon_at(&ServerUrl::parse(&url)?);
                local.map(|(daemon, _)| daemon.directory().to_owned())
            }
        })
    }

    /// The daemon that runs on this machine, with its address, if that is what was named. It is no error that none runs.
    fn local_daemon_at(&self, named: &ServerUrl) -> Option<(RecordedDaemon, ServerUrl)> {
        let daemon = RecordedDaemon::new(self.usual_data_dir()?);
        let address = daemon.address().ok()?;
        // `localhost` may resolve to an address of another program, so the recorded one is used.
        (named.is_exactly(&address) || named.is_localhost_of(&address)).then_some((daemon, address))
    }

    /// The directory of `--data-dir`, or of `--secret-file` if it contains a daemon's address, else the default data directory.
    fn usual_data_dir(&self) -> Option<PathBuf> {
        let secret_file = self
            .arguments
            .secret_file
            .as_ref()
            .or(self.environment.secret_file.as_ref());
        let beside = secret_file
            .and_then(|path| path.parent())
            .filter(|directory| directory.join("address").exists());
        self.named_data_dir()
            .or_else(|| beside.map(Path::to_path_buf))
            .or_else(|| self.default_paths.data_dir())
    }

    /// The directory of `--data-dir`, unless an argument selects another daemon than the environment.
    fn named_data_dir(&self) -> Option<PathBuf> {
        let TargetOptions {
            server,
            data_dir,
            context,
            ..
        } = &self.arguments;
        let is_elsewhere = server.is_some() || context.is_some();
        let of_environment = self.environment.data_dir.as_ref().filter(|_| !is_elsewhere);
        data_dir.as_ref().or(of_environment).cloned()
    }

    /// The credential that was named.
    fn given_credential(&self, source: &Source) -> Result<Option<Credential>, Failure> {
        let TargetOptions { secret_file, token, .. } = &self.arguments;
        one_of(&[("--secret-file", secret_file.is_some()), ("--token", token.is_some())])?;
        let of_context = match source {
            Source::Context(_, context) => (context.secret_file.as_deref(), context.token.as_deref()),
            Source::Named(..) | Source::DataDir => (None, None),
        };
        let given = [
            (self.arguments.secret_file.as_deref(), self.arguments.token.as_deref()),
            of_context,
            (
                self.environment.secret_file.as_deref(),
                self.environment.token.as_deref(),
            ),
        ];
        for (secret_file, token) in given {
            if let Some(path) = token {
                return read_token(path).map(Some);
            }
            if let Some(path) = secret_file {
                return read_secret(path).map(Some);
            }
        }
        Ok(None)
    }
}

/// Fails if more than one of these options is given. The parser doesn't see it if they are on both sides of the command.
fn one_of(options: &[(&str, bool)]) -> Result<(), Failure> {
    let given: Vec<&str> = options
        .iter()
        .filter(|(_, is_given)| *is_given)
        .map(|(name, _)| *name)
        .collect();
    match given.len() {
        0 | 1 => Ok(()),
        _ => Err(Failure::usage(format_args!("{} can't be combined", given.join(" and "))).next("use one of them")),
    }
}

/// The secret in a data directory.
fn secret_in(directory: &Path) -> Result<Credential, Failure> {
    let path = directory.join("secret");
    match path.exists() {
        true => read_secret(&path),
        false => Ok(Credential::None),
    }
}

fn read_secret(path: &Path) -> Result<Credential, Failure> {
    let (secret, other) = private_file::read_secrets(path)?;
    Ok(Credential::Secret {
        path: path.to_path_buf(),
        secret,
        other,
    })
}

fn read_token(path: &Path) -> Result<Credential, Failure> {
    Ok(Credential::Token {
        path: path.to_path_buf(),
        token: private_file::read_credential(path, "token file")?,
    })
}

fn no_home() -> Failure {
    Failure::usage("can't locate the data directory: neither HOME nor the XDG variables are set")
        .next("set HOME, or use --server URL")
}

#[cfg(test)]
mod tests;
