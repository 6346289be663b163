//! The URL of a PostgreSQL database, as libpq reads it: `postgres://[user@][host][:port][/database][?parameter=value…]`.
//!
//! A password has no place in it: it would be in process lists, in files that need not be secret, and in the output of
//! `--print-config`. Nothing here opens a file or a socket.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::percent::{self, Plus};

/// Where the database is, and how it is reached.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PostgresUrl {
    /// Without a password and without what says how TLS is used, but for whether it is.
    pub(crate) config: Config,
    pub(crate) tls: TlsMode,
    /// The database as log lines and errors name it.
    pub(crate) name: String,
    /// How long one attempt to connect may take.
    pub(crate) connect_timeout: Duration,
}

/// `sslmode`, with the file of `sslrootcert` where it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// Never, whatever the server offers.
    Disable,
    /// If the server offers it. Whoever is in between can say that it doesn't, so this keeps only listeners out.
    Prefer,
    /// Always, with whatever certificate the server has: whoever is in between may have one too.
    Require,
    /// Always, with a certificate that these roots have signed, for whatever name.
    VerifyCa(PathBuf),
    /// Always, with a certificate that these roots have signed for the name of the host.
    VerifyFull(PathBuf),
}

/// Within this a server answers that answers at all; a write that has to connect first is answered in time.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The parameters that are passed on.
const PARAMETERS: [&str; 11] = [
    "user",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "options",
    "application_name",
    "target_session_attrs",
    "tcp_user_timeout",
    "keepalives_idle",
    "sslnegotiation",
];

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresUrl").field(&self.name).finish()
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PostgresUrl {
    /// Whether a text is the URL of a PostgreSQL database, if perhaps not a valid one.
    pub(crate) fn is_one(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// What may be shown of a text that may be a URL, valid or not: nothing that may be a password.
    pub(crate) fn shown(text: &str) -> &str {
        match text.split_once("://") {
            Some((scheme, _)) if Self::is_one(text) => scheme,
            _ => text,
        }
    }

    /// Parses a URL.
    ///
    /// # Errors
    /// What is wrong with it, without anything that may be a password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        refuse_password(base, query)?;
        let mut passed = Vec::new();
        let (mut sslmode, mut sslrootcert, mut connect_timeout) = (None, None, CONNECT_TIMEOUT);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match key {
                "sslmode" => sslmode = Some(value),
                "sslrootcert" => sslrootcert = Some(decoded(value)?),
                "connect_timeout" => connect_timeout = seconds(value)?,
                key if PARAMETERS.contains(&key) => passed.push(parameter),
                key => return Err(format!("unknown parameter {key:?}")),
            }
        }
        let tls = tls_mode(sslmode, sslrootcert)?;
        let rest = match passed.is_empty() {
            true => base.to_owned(),
            false => format!("{base}?{}", passed.join("&")),
        };
        let mut config: Config = rest
            .parse()
            .map_err(|_| "expected postgres://[USER@][HOST][:PORT][/DATABASE][?PARAMETER=VALUE]".to_owned())?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("localhost");
        }
        config.ssl_mode(match tls {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa(_) | TlsMode::VerifyFull(_) => SslMode::Require,
        });
        config.connect_timeout(connect_timeout);
        let name = name_of(&config);
        Ok(Self {
            config,
            tls,
            name,
            connect_timeout,
        })
    }
}

fn refuse_password(base: &str, query: &str) -> Result<(), String> {
    let authority = base.split_once("://").map_or(base, |(_, rest)| rest);
    // The last one: a password that is not encoded may have an @ itself.
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let has_parameter = query.split('&').any(|parameter| {
        let key = parameter.split('=').next().unwrap_or_default();
        matches!(key, "password" | "passfile")
    });
    match user.contains(':') || has_parameter {
        true => Err(
            "a URL must not contain a password: put it into a file and name that with --database-password-file".into(),
        ),
        false => Ok(()),
    }
}

fn tls_mode(sslmode: Option<&str>, root: Option<String>) -> Result<TlsMode, String> {
    let root = root.filter(|root| !root.is_empty()).map(PathBuf::from);
    match (sslmode.unwrap_or("prefer"), root) {
        ("disable", None) => Ok(TlsMode::Disable),
        ("prefer", None) => Ok(TlsMode::Prefer),
        ("require", None) => Ok(TlsMode::Require),
        // As libpq has it: with a root certificate, require verifies.
        ("require" | "verify-ca", Some(root)) => Ok(TlsMode::VerifyCa(root)),
        ("verify-full", Some(root)) => Ok(TlsMode::VerifyFull(root)),
        (mode @ ("verify-ca" | "verify-full"), None) => Err(format!(
            "sslmode={mode} needs sslrootcert=FILE, the certificates of whoever signs the server's, in PEM"
        )),
        ("disable" | "prefer", Some(_)) => Err("sslrootcert is of no use without sslmode=verify-full".into()),
        _ => Err("sslmode must be disable, prefer, require, verify-ca or verify-full".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=60) => Ok(Duration::from_secs(seconds)),
        _ => Err("connect_timeout must be a whole number of seconds from 1 to 60".into()),
    }
}

fn decoded(text: &str) -> Result<String, String> {
    percent::decode(text, Plus::Literal).ok_or_else(|| "a parameter is not valid percent-encoding".to_owned())
}

/// Database and hosts, for people.
fn name_of(config: &Config) -> String {
    let ports = config.get_ports();
    let port_of = |index: usize| ports.get(index).or_else(|| ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| match host {
        Host::Tcp(name) => format!("{name}:{}", port_of(index)),
        Host::Unix(path) => format!("{}:{}", path.display(), port_of(index)),
    });
    let hosts: Vec<String> = hosts.collect();
    let hosts = match hosts.is_empty() {
        true => config.get_hostaddrs().iter().map(ToString::to_string).collect(),
        false => hosts,
    };
    let database = config.get_dbname().or_else(|| config.get_user()).unwrap_or_default();
    format!("PostgreSQL at {}, database {database:?}", hosts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        PostgresUrl::parse(text).expect_err(text)
    }

    #[test]
    fn a_url_names_host_port_user_and_database() {
        let url = PostgresUrl::parse("postgres://ann@db.example.org:5433/presence?application_name=x").expect("a URL");
        assert_eq!(
            url.to_string(),
            "PostgreSQL at db.example.org:5433, database \"presence\""
        );
        assert_eq!(url.config.get_user(), Some("ann"));
        assert_eq!(url.tls, TlsMode::Prefer);
        let socket = PostgresUrl::parse("postgresql:///presence?host=%2Frun%2Fpostgresql&user=ann").expect("a URL");
        assert_eq!(
            socket.to_string(),
            "PostgreSQL at /run/postgresql:5432, database \"presence\""
        );
        let near = PostgresUrl::parse("postgres://ann@/presence").expect("a URL");
        assert_eq!(near.to_string(), "PostgreSQL at localhost:5432, database \"presence\"");
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        for text in [
            "postgres://ann:hunter2@db/presence",
            "postgres://ann:hunter2@x@db/presence",
            "postgres://ann@db/presence?password=hunter2",
            "postgres://ann@db/presence?sslmode=require&passfile=hunter2",
        ] {
            let error = error(text);
            assert!(
                error.contains("--database-password-file") && !error.contains("hunter2"),
                "{error}"
            );
        }
        assert!(
            PostgresUrl::parse("postgres://ann@[::1]:5432/presence").is_ok(),
            "no password"
        );
    }

    #[test]
    fn the_mode_of_tls_is_that_of_libpq() {
        let tls = |query: &str| PostgresUrl::parse(&format!("postgres://ann@db/p?{query}")).map(|url| url.tls);
        assert_eq!(tls(""), Ok(TlsMode::Prefer));
        assert_eq!(tls("sslmode=disable"), Ok(TlsMode::Disable));
        assert_eq!(tls("sslmode=require"), Ok(TlsMode::Require));
        let root = PathBuf::from("/a b.pem");
        assert_eq!(
            tls("sslmode=require&sslrootcert=/a%20b.pem"),
            Ok(TlsMode::VerifyCa(root.clone()))
        );
        assert_eq!(
            tls("sslrootcert=/a%20b.pem&sslmode=verify-full"),
            Ok(TlsMode::VerifyFull(root))
        );
        for (query, part) in [
            ("sslmode=verify-full", "needs sslrootcert"),
            ("sslmode=verify-ca", "needs sslrootcert"),
            ("sslrootcert=/x", "of no use"),
            ("sslmode=allow", "sslmode must be"),
            ("sslmode=verify-full&sslrootcert=%2", "percent-encoding"),
        ] {
            let error = tls(query).expect_err(query);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_unknown_parameter_or_a_broken_url_is_refused() {
        assert_eq!(error("postgres://db/p?sslcert=x"), "unknown parameter \"sslcert\"");
        assert!(error("postgres://ann@db:port/p").contains("expected postgres://"));
        assert!(error("postgres://db/p?connect_timeout=0").contains("connect_timeout"));
    }
}
