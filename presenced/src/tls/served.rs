//! The certificate in effect: each handshake takes it as it is then, and a reload replaces it. Connections keep theirs.

use std::sync::Arc;

use parking_lot::RwLock;
use presence::wire::rest::TlsStats;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::TlsIdentity;

/// What the listeners, the statistics and a reload share.
#[derive(Debug)]
pub(crate) struct ServedIdentity {
    /// And how often it was replaced.
    identity: RwLock<(u64, TlsIdentity)>,
    /// When it expires, in seconds since 1970.
    expires: Gauge,
}

impl ServedIdentity {
    pub(crate) fn new(identity: TlsIdentity, registry: &mut Registry) -> Self {
        let expires = Gauge::default();
        registry.register(
            "tls_certificate_expires_timestamp_seconds",
            "When the certificate of the listeners expires, in seconds since 1970",
            expires.clone(),
        );
        expires.set(seconds(&identity));
        Self {
            identity: RwLock::new((0, identity)),
            expires,
        }
    }

    /// For the next handshake.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(self.identity.read().1.config())
    }

    /// The certificate and those that signed it, and its number among those that this process has served.
    pub(super) fn chain(&self) -> (u64, Vec<CertificateDer<'static>>) {
        let (number, identity) = &*self.identity.read();
        (*number, identity.chain().to_vec())
    }

    /// What operators are shown of it.
    pub(crate) fn stats(&self) -> TlsStats {
        let (_, identity) = &*self.identity.read();
        TlsStats {
            valid_from: identity.not_before().record_time(None),
            expires_at: identity.not_after().record_time(None),
        }
    }

    /// Handshakes have this certificate from now on. Whether it is another one than before.
    pub(crate) fn replace(&self, identity: TlsIdentity) -> bool {
        self.expires.set(seconds(&identity));
        let mut served = self.identity.write();
        let is_other = served.1.chain() != identity.chain();
        *served = (served.0 + 1, identity);
        is_other
    }
}

const fn seconds(identity: &TlsIdentity) -> i64 {
    identity.not_after().as_millis() / 1000
}
