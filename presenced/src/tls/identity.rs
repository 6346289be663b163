//! The daemon's certificate with its key: read from two files, and checked as a whole before anything uses it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use presence::SystemWall;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, Error as TlsError, InconsistentKeys, ServerConfig};

use super::certificate::Validity;
use crate::data_dir::{self, DataDirError};

/// What is spoken over TLS (RFC 7301): a client that speaks something else alone is told so in the handshake.
const PROTOCOL: &[u8] = b"http/1.1";

/// Why no certificate is served: one line that names the setting and the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFileError {
    #[error("--tls-cert: {0}")]
    CertificateFile(DataDirError),
    #[error("--tls-key: {0}")]
    KeyFile(DataDirError),
    #[error("--tls-cert: {path:?} {what}")]
    Certificate { path: PathBuf, what: String },
    #[error("--tls-key: {path:?} {what}")]
    Key { path: PathBuf, what: String },
    #[error(
        "--tls-key: {key:?} is not the key of the first certificate in {certificate:?}, which must be the daemon's own, before \
         those that signed it"
    )]
    OtherKey { key: PathBuf, certificate: PathBuf },
}

/// A certificate with its key, ready to be served.
#[derive(Clone)]
pub(crate) struct TlsIdentity {
    config: Arc<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
    validity: Validity,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsIdentity").field(&self.validity).finish()
    }
}

impl TlsIdentity {
    /// Reads both files. A certificate that is not valid now is served all the same, as an operator who has no other one wants.
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, TlsFileError> {
        let invalid = |what: &str| TlsFileError::Certificate {
            path: certificate.to_owned(),
            what: what.to_owned(),
        };
        let chain = data_dir::read_public(certificate).map_err(TlsFileError::CertificateFile)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
        let chain = chain.map_err(|error| invalid(&format!("is not valid PEM: {error}")))?;
        let first = chain
            .first()
            .ok_or_else(|| invalid("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"))?;
        let validity = Validity::of(first).ok_or_else(|| invalid("holds no valid certificate"))?;
        let config = server_config(chain.clone(), read_key(key)?).map_err(|error| match error {
            TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsFileError::OtherKey {
                key: key.to_owned(),
                certificate: certificate.to_owned(),
            },
            TlsError::InvalidCertificate(error) => invalid(&format!("holds no valid certificate: {error}")),
            error => TlsFileError::Key {
                path: key.to_owned(),
                what: format!(
                    "can't be used: {error}; expected RSA of 2048 bits or more, ECDSA (P-256, P-384, P-521) or Ed25519"
                ),
            },
        })?;
        Ok(Self {
            config: Arc::new(config),
            chain,
            validity,
        })
    }

    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// The daemon's own certificate, and then those that signed it.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The daemon's own certificate as text.
    pub(crate) fn to_pem(&self) -> String {
        let text = BASE64.encode(self.chain.first().map_or(&[][..], |first| first));
        let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
    }

    pub(crate) const fn not_before(&self) -> SystemWall {
        self.validity.not_before
    }

    pub(crate) const fn not_after(&self) -> SystemWall {
        self.validity.not_after
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    let bytes = data_dir::read_private(path).map_err(TlsFileError::KeyFile)?;
    let is_encrypted = bytes.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED);
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| TlsFileError::Key {
        path: path.to_owned(),
        what: match error {
            pem::Error::NoItemsFound if is_encrypted => {
                "holds an encrypted key: take the passphrase off with `openssl pkey`".to_owned()
            }
            pem::Error::NoItemsFound => "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)".to_owned(),
            error => format!("is not valid PEM: {error}"),
        },
    })
}

const ENCRYPTED: &[u8] = b"ENCRYPTED PRIVATE KEY";

/// TLS 1.2 and 1.3 with the cipher suites of rustls, which all have forward secrecy. No client is asked for a certificate, nothing
/// is taken before the handshake is done (0-RTT), and rustls refuses to renegotiate. Sessions are resumed from a memory of 256.
fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // All are strong, and so the order is no matter of safety; scanners want one that clients can't change.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}
