//! The base URL of a daemon: `http://` or `https://`, without credentials.

use reqwest::Url;

use crate::failure::Failure;
use crate::output::escape::quote;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl(Url);

impl ServerUrl {
    /// Parses a URL; `HOST:PORT` stands for `http://HOST:PORT`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        };
        // An invalid URL is not repeated: it may contain a password.
        let url = url.map_err(|error| {
            Failure::usage(format_args!("invalid server URL: {error}")).next("write it as http://HOST:PORT")
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Failure::usage(
                "the server URL contains credentials, which every account on this machine can see",
            )
            .next("use --secret-file FILE or --token FILE"));
        }
        match url.scheme() {
            "http" | "https" => {}
            other => {
                return Err(Failure::usage(format_args!(
                    "a server URL starts with http:// or https://, not {}",
                    quote(&format!("{other}://"))
                ))
                .next("write it as http://HOST:PORT, or https://HOST:PORT if it speaks TLS"));
            }
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Failure::usage("the server URL has a query or a fragment").next("write it as http://HOST:PORT"));
        }
        Ok(Self(url))
    }

    /// The URL of a path, each segment percent-encoded.
    pub(crate) fn path(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The URL of the WebSocket endpoint.
    pub(crate) fn web_socket(&self) -> Url {
        let mut url = self.path(&["ws"]);
        let _ = url.set_scheme(if self.is_https() { "wss" } else { "ws" });
        url
    }

    /// Whether it is reached over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Host and port to connect to. The unspecified address is reached through loopback.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        let host = match self.0.host_str().unwrap_or_default() {
            "0.0.0.0" => "127.0.0.1",
            "[::]" => "::1",
            host => host.trim_start_matches('[').trim_end_matches(']'),
        };
        (host.to_owned(), self.0.port_or_known_default().unwrap_or(80))
    }

    pub(crate) fn is_loopback(&self) -> bool {
        let (host, _) = self.host_and_port();
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// Whether both lead to the same address, port and path. No name is resolved: another program may listen on another
    /// address of this machine.
    pub(crate) fn is_exactly(&self, other: &Self) -> bool {
        self.host_and_port() == other.host_and_port() && self.0.path() == other.0.path()
    }

    /// Whether this names this machine by `localhost`, at the port of the other.
    pub(crate) fn is_localhost_of(&self, other: &Self) -> bool {
        let (host, port) = self.host_and_port();
        host == "localhost" && other.is_loopback() && port == other.host_and_port().1 && self.0.path() == other.0.path()
    }

    /// The address as messages to the operator show it.
    pub(crate) fn display(&self) -> String {
        crate::output::escape::escape(self.0.as_str().trim_end_matches('/')).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_ids_in_paths_are_percent_encoded() {
        let server = ServerUrl::parse("http://127.0.0.1:7420").unwrap();
        for (id, path) in [
            ("alice", "/api/presence/alice/explain"),
            ("a/b", "/api/presence/a%2Fb/explain"),
            ("%2e%2e", "/api/presence/%252e%252e/explain"),
            ("a?b#c", "/api/presence/a%3Fb%23c/explain"),
            ("利", "/api/presence/%E5%88%A9/explain"),
            ("query", "/api/presence/query/explain"),
        ] {
            assert_eq!(server.path(&["api", "presence", id, "explain"]).path(), path);
        }
    }

    #[test]
    fn the_scheme_of_the_websocket_is_that_of_the_server() {
        let server = ServerUrl::parse("https://host").unwrap();
        assert!(server.is_https());
        assert_eq!(server.web_socket().as_str(), "wss://host/ws");
        assert_eq!(server.host_and_port(), ("host".into(), 443));
        assert!(!ServerUrl::parse("host").unwrap().is_https());
    }

    #[test]
    fn a_path_prefix_of_a_proxy_is_kept() {
        let server = ServerUrl::parse("http://host/presence/").unwrap();
        assert_eq!(server.path(&["healthz"]).as_str(), "http://host/presence/healthz");
        assert_eq!(server.web_socket().as_str(), "ws://host/presence/ws");
    }

    #[test]
    fn an_unusable_url_is_rejected_with_the_reason() {
        for (text, word) in [
            ("wss://host", "starts with http:// or https://"),
            ("ftp://host", "starts with http://"),
            ("http://me:hidden@host", "credentials"),
            ("http://", "invalid server URL"),
            ("http://host/?a", "query"),
        ] {
            let report = ServerUrl::parse(text).unwrap_err().report();
            assert!(report.contains(word), "{text}: {report}");
            assert!(!report.contains("hidden"), "{report}");
        }
    }

    #[test]
    fn the_scheme_is_optional_and_unspecified_addresses_are_local() {
        assert_eq!(
            ServerUrl::parse("localhost:7420").unwrap().host_and_port(),
            ("localhost".into(), 7420)
        );
        assert_eq!(
            ServerUrl::parse("http://0.0.0.0:7420").unwrap().host_and_port(),
            ("127.0.0.1".into(), 7420)
        );
        assert_eq!(
            ServerUrl::parse("http://[::1]:7420").unwrap().host_and_port(),
            ("::1".into(), 7420)
        );
    }

    #[test]
    fn localhost_is_no_exact_address_but_names_this_machine() {
        let url = |text| ServerUrl::parse(text).unwrap();
        assert!(url("127.0.0.1:7420").is_exactly(&url("http://127.0.0.1:7420/")));
        assert!(!url("localhost:7420").is_exactly(&url("127.0.0.1:7420")));
        assert!(url("localhost:7420").is_localhost_of(&url("127.0.0.1:7420")));
        assert!(url("localhost:7420").is_localhost_of(&url("[::1]:7420")));
        assert!(!url("localhost:7421").is_localhost_of(&url("127.0.0.1:7420")));
        assert!(!url("localhost:7420/a").is_localhost_of(&url("127.0.0.1:7420")));
        assert!(!url("127.0.0.9:7420").is_localhost_of(&url("127.0.0.1:7420")));
        assert!(!url("localhost:7420").is_localhost_of(&url("10.0.0.1:7420")));
    }
}
