//! TLS to other nodes, which are clients' servers as this one is: their certificates are verified, by name.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::ServedIdentity;

/// Connects to nodes whose certificate is signed by one that the system trusts, or by one in this node's own chain: nodes that an
/// operator signs certificates for have theirs from the same place.
#[derive(Debug, Default)]
pub(crate) struct PeerConnector {
    served: Option<Arc<ServedIdentity>>,
    /// What was made for a certificate of this node, and the number of that: the system's certificates are many.
    made: Mutex<Option<(u64, Arc<ClientConfig>)>>,
}

impl PeerConnector {
    pub(crate) const fn new(served: Option<Arc<ServedIdentity>>) -> Self {
        Self {
            served,
            made: Mutex::new(None),
        }
    }

    /// Does the handshake with the node of this address, `HOST:PORT`.
    pub(crate) async fn connect(&self, address: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let (host, _) = address.rsplit_once(':').unwrap_or((address, ""));
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        TlsConnector::from(self.config().await?).connect(name, stream).await
    }

    async fn config(&self) -> io::Result<Arc<ClientConfig>> {
        let (number, chain) = match &self.served {
            Some(served) => served.chain(),
            None => (0, Vec::new()),
        };
        let made = self.made.lock().clone();
        if let Some((_, config)) = made.filter(|(of, _)| *of == number) {
            return Ok(config);
        }
        let config = tokio::task::spawn_blocking(move || config(chain)).await??;
        *self.made.lock() = Some((number, Arc::clone(&config)));
        Ok(config)
    }
}

fn config(chain: Vec<CertificateDer<'static>>) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    // Those that can't be read, or are no certificates, sign nothing.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs.into_iter().chain(chain));
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::tls::accept;
    use crate::tls::tests::{Files, tcp_pair};

    async fn asked(connector: &PeerConnector, of: &Files, address: &str) -> Result<(), String> {
        let (client, node) = tcp_pair().await;
        let config = Arc::clone(of.identity().config());
        let (asked, _) = tokio::join!(connector.connect(address, client), accept(config, node));
        asked.map(drop).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn nodes_are_known_by_the_certificates_in_the_own_chain_and_by_name() {
        let (own, other) = (Files::new(), Files::new());
        let served = Arc::new(ServedIdentity::new(own.identity(), &mut Registry::default()));
        let connector = PeerConnector::new(Some(Arc::clone(&served)));
        assert_eq!(asked(&connector, &own, "localhost:7420").await, Ok(()));
        let wrong_name = asked(&connector, &own, "127.0.0.1:7420").await.expect_err("an address");
        assert!(wrong_name.contains("not valid for"), "{wrong_name}");
        let unknown = asked(&connector, &other, "localhost:7420")
            .await
            .expect_err("another certificate");
        assert!(unknown.contains("invalid peer certificate"), "{unknown}");
        // A reload.
        served.replace(other.identity());
        assert_eq!(asked(&connector, &other, "localhost:7420").await, Ok(()));
        assert!(asked(&connector, &own, "localhost:7420").await.is_err());
        assert!(asked(&PeerConnector::new(None), &own, "localhost:7420").await.is_err());
    }
}
