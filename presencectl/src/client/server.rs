//! The address of a daemon: an `http://` URL without credentials in it, and the paths below it.

use reqwest::Url;

use crate::failure::Failure;
use crate::output::escape::quote;

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server(Url);

impl Server {
    /// Reads a URL; `HOST:PORT` is taken as `http://HOST:PORT`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        };
        // A URL that isn't understood isn't repeated either: it may hold a password.
        let url = url.map_err(|error| {
            Failure::usage(format_args!("the server's URL isn't understood: {error}"))
                .next("write it as http://HOST:PORT")
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Failure::usage(
                "the server's URL has credentials in it, which everyone on this machine can see",
            )
            .next("use --secret-file FILE or --token FILE"));
        }
        match url.scheme() {
            "http" => {}
            "https" | "wss" => {
                return Err(Failure::usage(format_args!("TLS is not built in yet: {} can't be used", quote(text)))
                    .next("use http:// through a tunnel: ssh -L 7420:127.0.0.1:7420 HOST, then --server http://127.0.0.1:7420"));
            }
            other => {
                return Err(Failure::usage(format_args!(
                    "a server's URL begins with http://, not {}",
                    quote(&format!("{other}://"))
                ))
                .next("write it as http://HOST:PORT"));
            }
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(
                Failure::usage("the server's URL has a query or a fragment").next("write it as http://HOST:PORT")
            );
        }
        Ok(Self(url))
    }

    /// The URL of a path below the server's, each segment percent-encoded.
    pub(crate) fn path(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// `ws://…/ws`.
    pub(crate) fn web_socket(&self) -> Url {
        let mut url = self.path(&["ws"]);
        let _ = url.set_scheme("ws");
        url
    }

    /// Host and port to connect to. An address that means "any of mine" is reached through loopback.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        let host = match self.0.host_str().unwrap_or_default() {
            "0.0.0.0" => "127.0.0.1",
            "[::]" => "::1",
            host => host.trim_start_matches('[').trim_end_matches(']'),
        };
        (host.to_owned(), self.0.port_or_known_default().unwrap_or(80))
    }

    /// Whether it is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let (host, _) = self.host_and_port();
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// Whether both are the same daemon of this machine, as far as can be told.
    pub(crate) fn is_same_local(&self, other: &Self) -> bool {
        self.is_loopback() && other.is_loopback() && self.host_and_port().1 == other.host_and_port().1
    }

    /// As it stands in messages.
    pub(crate) fn display(&self) -> String {
        crate::output::escape::escape(self.0.as_str().trim_end_matches('/')).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_ids_in_paths_are_encoded_and_never_resolved_away() {
        let server = Server::parse("http://127.0.0.1:7420").unwrap();
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
    fn a_path_of_a_proxy_is_kept() {
        let server = Server::parse("http://host/presence/").unwrap();
        assert_eq!(server.path(&["healthz"]).as_str(), "http://host/presence/healthz");
        assert_eq!(server.web_socket().as_str(), "ws://host/presence/ws");
    }

    #[test]
    fn what_can_not_be_used_is_refused_in_words() {
        for (text, word) in [
            ("https://host", "TLS is not built in yet"),
            ("ftp://host", "begins with http://"),
            ("http://me:hidden@host", "credentials"),
            ("http://", "isn't understood"),
            ("http://host/?a", "query"),
        ] {
            let report = Server::parse(text).unwrap_err().report();
            assert!(report.contains(word), "{text}: {report}");
            assert!(!report.contains("hidden"), "{report}");
        }
    }

    #[test]
    fn the_scheme_may_be_left_out_and_any_address_means_this_machine() {
        assert_eq!(
            Server::parse("localhost:7420").unwrap().host_and_port(),
            ("localhost".into(), 7420)
        );
        assert_eq!(
            Server::parse("http://0.0.0.0:7420").unwrap().host_and_port(),
            ("127.0.0.1".into(), 7420)
        );
        assert_eq!(
            Server::parse("http://[::1]:7420").unwrap().host_and_port(),
            ("::1".into(), 7420)
        );
        let same = |a, b| Server::parse(a).unwrap().is_same_local(&Server::parse(b).unwrap());
        assert!(same("localhost:7420", "127.0.0.1:7420"));
        assert!(!same("127.0.0.1:7421", "127.0.0.1:7420"));
        assert!(!same("10.0.0.1:7420", "127.0.0.1:7420"));
    }
}
