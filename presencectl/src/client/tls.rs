//! TLS to the daemon: its certificate is always verified, by what the system trusts, by `--ca-file`, or, of the daemon on this machine,
//! by what that recorded in its data directory. What is wrong with a certificate is put into words here.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use presence::Wall;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, InvalidMessage,
    RootCertStore, SignatureScheme,
};

use super::discover::Target;
use super::private_file::display_path;
use crate::failure::Failure;
use crate::output::escape::{escape, quote};

/// By what the daemon's certificate is verified.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// Nothing: no server is reached over TLS.
    Nobody,
    /// The certificates that the system trusts.
    System,
    /// Those in a file, which may have signed it, or be it.
    CaFile(&'a Path),
    /// The one in a file of the daemon's data directory, whatever its names and times: that file is as private as the secret.
    Recorded(&'a Path),
}

/// How servers are verified.
#[derive(Clone)]
pub(crate) struct ClientTls(Arc<ClientConfig>);

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

impl ClientTls {
    pub(crate) fn new(trust: Trust<'_>) -> Result<Self, Failure> {
        let failed = |error: &dyn fmt::Display| Failure::failed(format_args!("can't set up TLS: {error}"));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let known = match trust {
            Trust::Nobody | Trust::System => Vec::new(),
            Trust::CaFile(path) => certificates(path, "CA file")?,
            Trust::Recorded(path) => certificates(path, "daemon's certificate")?,
        };
        let by_issuer = match trust {
            Trust::Recorded(_) => None,
            Trust::System => Some(by_issuer(system()?, &provider).map_err(|error| failed(&error))?),
            Trust::Nobody | Trust::CaFile(_) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(known.iter().cloned());
                // Without any there is no verifier; a certificate that signs nothing is one.
                by_issuer(roots, &provider).ok()
            }
        };
        let verifier = Arc::new(KnownCertificates {
            by_issuer,
            known,
            provider: Arc::clone(&provider),
        });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

fn by_issuer(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, impl fmt::Display> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build()
}

fn certificates(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let unusable =
        |error: &dyn fmt::Display| Failure::usage(format_args!("can't use the {what} {}: {error}", display_path(path)));
    let read = std::fs::read(path).map_err(|error| unusable(&error))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read).collect();
    let all = all.map_err(|error| unusable(&format_args!("it is not valid PEM: {error}")))?;
    match all.is_empty() {
        true => Err(unusable(
            &"it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)",
        )),
        false => Ok(all),
    }
}

fn system() -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Failure::usage("this system has no certificates that it trusts")
            .next("install them (on Debian: apt-get install ca-certificates), or use --ca-file FILE"));
    }
    Ok(roots)
}

/// Takes certificates that others have signed, and those of a file themselves: what `openssl req -x509` makes may sign others, so it
/// would not be taken for a server's. Without others it takes those of the file alone, whatever their names and times.
#[derive(Debug)]
struct KnownCertificates {
    by_issuer: Option<Arc<WebPkiServerVerifier>>,
    known: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

/// The error for a certificate that may sign others: everything before the name has been found in order then.
fn is_of_a_ca(error: &TlsError) -> bool {
    let TlsError::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    other.to_string().contains("CaUsedAsEndEntity")
}

impl ServerCertVerifier for KnownCertificates {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let is_known = self.known.iter().any(|known| known == certificate);
        let Some(by_issuer) = &self.by_issuer else {
            return match is_known {
                true => Ok(ServerCertVerified::assertion()),
                false => Err(CertificateError::ApplicationVerificationFailure.into()),
            };
        };
        match by_issuer.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(error) if is_of_a_ca(&error) => match is_known {
                true => {
                    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                    Ok(ServerCertVerified::assertion())
                }
                // It signed itself, or would have to be signed by one that is looked for in vain.
                false => Err(CertificateError::UnknownIssuer.into()),
            },
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What is wrong with the TLS of a server, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct TlsProblem {
    what: String,
    next: &'static str,
}

const RENEW: &str =
    "renew it: put the new one where the daemon's --tls-cert and --tls-key are, then `pkill -HUP -x presenced` there";

impl TlsProblem {
    /// That of an error, if one of TLS lies below it.
    pub(crate) fn below(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let inner = inner.map(|inner| -> &(dyn Error + 'static) { inner });
            for candidate in [Some(error), inner].into_iter().flatten() {
                if let Some(error) = candidate.downcast_ref::<TlsError>() {
                    return Some(Self::of(error));
                }
            }
            next = inner.or_else(|| error.source());
        }
        None
    }

    fn of(error: &TlsError) -> Self {
        let problem = |what: String, next| Self { what, next };
        match error {
            TlsError::InvalidCertificate(error) => Self::of_certificate(error),
            TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => problem(
                "it does not speak TLS there".to_owned(),
                "use http:// if the daemon runs without --tls-cert, or check the port",
            ),
            TlsError::AlertReceived(AlertDescription::AccessDenied) => problem(
                "it rejects the connection: it has too many, or this address makes too many".to_owned(),
                "retry in a moment; `presencectl doctor` on its machine shows its limits",
            ),
            error => problem(
                format!("TLS failed: {error}"),
                "check that presenced is reached there, and not another program",
            ),
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        let problem = |what: String, next| Self { what, next };
        match error {
            CertificateError::Expired => problem("its certificate has expired".to_owned(), RENEW),
            CertificateError::ExpiredContext { not_after, .. } => {
                problem(format!("its certificate expired at {}", time(*not_after)), RENEW)
            }
            CertificateError::NotValidYet => problem("its certificate is not valid yet".to_owned(), CLOCKS),
            CertificateError::NotValidYetContext { not_before, .. } => problem(
                format!("its certificate is not valid before {}", time(*not_before)),
                CLOCKS,
            ),
            CertificateError::NotValidForName => problem("its certificate is for another name".to_owned(), NAME),
            CertificateError::NotValidForNameContext { expected, presented } => {
                let names: Vec<_> = presented
                    .iter()
                    .take(NAMES_SHOWN)
                    .map(|name| quote(&shown(name)))
                    .collect();
                let names = match names.is_empty() {
                    true => "no name".to_owned(),
                    false => names.join(", "),
                };
                let wanted = quote(&expected.to_str());
                problem(format!("its certificate is for {names}, and not for {wanted}"), NAME)
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => problem(
                "its certificate is signed by none that is trusted here".to_owned(),
                "name the file with the certificate that signed it (or with its own, if that signed itself): --ca-file FILE",
            ),
            CertificateError::ApplicationVerificationFailure => problem(
                "its certificate is not the one that the daemon of this machine recorded".to_owned(),
                "run the command again if the daemon reloads now; else check which program listens there",
            ),
            error => problem(
                format!("its certificate is not accepted: {error}"),
                "the daemon's --tls-cert must hold a server's certificate, then those that signed it",
            ),
        }
    }

    /// As the failure of a command.
    pub(crate) fn failure(&self, target: &Target) -> Failure {
        let message = format!(
            "can't reach {} ({}): {}",
            target.server.display(),
            target.found,
            escape(&self.what)
        );
        Failure::unreachable(message).next(self.next)
    }
}

const CLOCKS: &str = "compare the clocks of both machines; if they are right, the daemon needs another certificate";
const NAME: &str = "name the server as its certificate does: --server https://NAME:PORT";
/// Names of a certificate that are listed.
const NAMES_SHOWN: usize = 5;

/// A name as it is read in a certificate, `DnsName("example.org")` and the like.
fn shown(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"').to_owned()
}

fn time(at: UnixTime) -> Wall {
    Wall::from_millis(i64::try_from(at.as_secs().saturating_mul(1000)).unwrap_or(i64::MAX))
}
