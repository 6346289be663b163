//! The address of a Redis server: `redis://[USER@]HOST[:PORT][/DATABASE]`, the same with `rediss` for TLS, or
//! `redis+unix:///PATH[?db=DATABASE&user=USER]` for a socket on this machine.
//!
//! A password has no place in it: it would be in process lists, in files that need not be secret, and in the output of
//! `--print-config`. Nothing here opens a file or a socket.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};

/// Where a server is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RedisUrl {
    /// The whole address; it has no password.
    text: String,
    /// The server as log lines and errors name it.
    name: String,
    /// The user to log in as, if not the default one.
    pub(crate) user: Option<String>,
    /// The number of the database.
    pub(crate) database: i64,
    pub(crate) transport: RedisTransport,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedisTransport {
    Tcp,
    Tls,
    /// A socket of this machine.
    Unix,
}

/// What an address must look like.
const EXPECTED: &str = "expected redis://[USER@]HOST[:PORT][/DATABASE], rediss:// for TLS, or redis+unix:///PATH";
/// The schemes of [`EXPECTED`].
const SCHEMES: [(&str, RedisTransport); 3] = [
    ("redis", RedisTransport::Tcp),
    ("rediss", RedisTransport::Tls),
    ("redis+unix", RedisTransport::Unix),
];

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisUrl").field(&self.name).finish()
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl RedisUrl {
    /// The address as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// What may be shown of a text that may be an address, valid or not: nothing that may be a password.
    pub(crate) fn shown(text: &str) -> &str {
        match text.split_once("://") {
            Some((scheme, _)) if SCHEMES.iter().any(|(known, _)| *known == scheme) => scheme,
            _ => text,
        }
    }

    /// Parses an address.
    ///
    /// # Errors
    /// What is wrong with it, without anything that may be a password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or(EXPECTED)?;
        let known = SCHEMES.iter().find(|(known, _)| *known == scheme);
        let (_, transport) = *known.ok_or(EXPECTED)?;
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        refuse_password(base, query)?;
        if text.contains('#') {
            return Err("an address has no fragment: a certificate that can't be verified is never taken".into());
        }
        refuse_parameters(query, transport)?;
        if transport != RedisTransport::Unix {
            check_port(base)?;
        }
        let info = text.into_connection_info().map_err(|_| EXPECTED.to_owned())?;
        let settings = info.redis_settings();
        if settings.db() < 0 {
            return Err("the number of the database must not be negative".into());
        }
        Ok(Self {
            name: name_of(&info),
            user: settings.username().map(str::to_owned),
            database: settings.db(),
            transport,
            text: text.to_owned(),
        })
    }
}

fn refuse_password(base: &str, query: &str) -> Result<(), String> {
    // The last one: a password that is not encoded may have an @ itself.
    let user = base.rsplit_once('@').map_or("", |(user, _)| user);
    let has_parameter = query.split('&').any(|parameter| parameter.starts_with("pass"));
    match user.contains(':') || has_parameter {
        true => Err(
            "an address must not contain a password: put it into a file and name that with --redis-password-file"
                .into(),
        ),
        false => Ok(()),
    }
}

/// The library says of no part what is wrong with it.
fn check_port(base: &str) -> Result<(), String> {
    let server = base.rsplit_once('@').map_or(base, |(_, server)| server);
    let server = server.split('/').next().unwrap_or_default();
    let port = server.rsplit_once(':').map(|(_, port)| port);
    // The last part of an address of IPv6 is no port.
    match port.filter(|port| !port.ends_with(']')) {
        Some(port) if !matches!(port.parse(), Ok(1..=u16::MAX)) => {
            // What is no number may be a password in the wrong place.
            let shown = port.bytes().all(|byte| byte.is_ascii_digit()).then_some(port);
            let named = shown.map(|port| format!(" {port}")).unwrap_or_default();
            Err(format!("the port{named} is no number from 1 to 65535; {EXPECTED}"))
        }
        _ => Ok(()),
    }
}

fn refuse_parameters(query: &str, transport: RedisTransport) -> Result<(), String> {
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let key = parameter.split('=').next().unwrap_or_default();
        if transport != RedisTransport::Unix || !matches!(key, "db" | "user") {
            return Err(format!("unknown parameter {key:?}"));
        }
    }
    Ok(())
}

/// The server, for people.
pub(crate) fn server_name(addr: &ConnectionAddr) -> String {
    match addr {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        },
        ConnectionAddr::Unix(path) => path.display().to_string(),
        // A kind that no scheme of ours leads to.
        other => other.to_string(),
    }
}

/// The server, and the database if it is not the first one, for people.
fn name_of(info: &ConnectionInfo) -> String {
    let server = server_name(info.addr());
    match info.redis_settings().db() {
        0 => server,
        number => format!("{server} (database {number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        RedisUrl::parse(text).expect_err(text)
    }

    #[test]
    fn an_address_names_host_port_user_and_database() {
        for (text, name, user, database, transport) in [
            ("redis://localhost", "localhost:6379", None, 0, RedisTransport::Tcp),
            (
                "redis://ann@10.0.0.1:7000/2",
                "10.0.0.1:7000 (database 2)",
                Some("ann"),
                2,
                RedisTransport::Tcp,
            ),
            ("rediss://[::1]:7000/", "[::1]:7000", None, 0, RedisTransport::Tls),
            (
                "rediss://a%40b@redis.example.org",
                "redis.example.org:6379",
                Some("a@b"),
                0,
                RedisTransport::Tls,
            ),
            (
                "redis+unix:///run/redis.sock?db=3&user=ann",
                "/run/redis.sock (database 3)",
                Some("ann"),
                3,
                RedisTransport::Unix,
            ),
        ] {
            let url = RedisUrl::parse(text).expect(text);
            assert_eq!(
                (
                    url.to_string().as_str(),
                    url.user.as_deref(),
                    url.database,
                    url.transport
                ),
                (name, user, database, transport)
            );
            assert_eq!(url.as_str(), text);
            assert_eq!(format!("{url:?}"), format!("RedisUrl({name:?})"));
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        for text in [
            "redis://:hunter2@localhost",
            "redis://ann:hunter2@localhost/0",
            "rediss://ann:hunter2@x@localhost",
            "redis+unix:///run/redis.sock?pass=hunter2",
            "redis://localhost?password=hunter2",
        ] {
            let error = error(text);
            assert!(
                error.contains("--redis-password-file") && !error.contains("hunter2"),
                "{error}"
            );
            assert!(!RedisUrl::shown(text).contains("hunter2"));
        }
        assert!(RedisUrl::parse("redis://ann@[::1]:6379").is_ok(), "no password");
    }

    #[test]
    fn a_broken_address_is_refused_with_what_is_expected() {
        for text in [
            "localhost:6379",
            "http://localhost",
            "redis:localhost",
            "redis://",
            "redis://localhost:port",
            "redis://localhost:/2",
            "redis://localhost/two",
            "redis://0.0.0.0",
        ] {
            assert!(error(text).contains("redis://"), "{text}");
        }
        for port in ["99999", "65536", "0"] {
            for host in ["localhost", "ann@[::1]"] {
                let error = error(&format!("redis://{host}:{port}/1"));
                assert!(
                    error.contains(&format!("the port {port} is no number from 1 to 65535")),
                    "{error}"
                );
            }
        }
        assert!(!error("redis://localhost:hunter2").contains("hunter2"));
        assert!(error("redis://localhost/-1").contains("negative"));
        assert_eq!(
            error("redis://localhost?protocol=resp3"),
            "unknown parameter \"protocol\""
        );
        assert_eq!(
            error("redis+unix:///x?protocol=resp3"),
            "unknown parameter \"protocol\""
        );
        assert!(error("rediss://localhost/#insecure").contains("never taken"));
    }
}
