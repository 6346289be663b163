//! Certificates for tests, as files: a daemon's own, and the one of whoever signed it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion};

/// A directory with `ca.pem`, `cert.pem` and `key.pem`. The certificate is for `localhost` and loopback addresses, unless a test
/// says otherwise.
#[derive(Debug)]
pub struct Certificates {
    dir: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

impl Certificates {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("presence-test-").tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "CA of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let certificates = Self { dir, ca };
        certificates.write("ca.pem", &certificates.ca.pem());
        certificates.issue(|_| ());
        certificates
    }

    /// The path of a file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that others can't read.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Replaces certificate and key with new ones, and the names and times that `change` makes of the usual ones.
    pub fn issue(&self, change: impl FnOnce(&mut CertificateParams)) {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "a daemon of a test");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        self.write("cert.pem", &certificate.pem());
        self.write("key.pem", &key.serialize_pem());
    }

    /// Replaces certificate and key with a certificate that signed itself, and may sign others, as `openssl req -x509` makes it.
    pub fn sign_itself(&self) {
        let mut params = CertificateParams::new(["localhost", "127.0.0.1"].map(str::to_owned)).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        self.write("cert.pem", &params.self_signed(&key).unwrap().pem());
        self.write("key.pem", &key.serialize_pem());
    }

    /// The flags of a daemon that serves the certificate.
    pub fn flags(&self) -> Vec<String> {
        let named = |flag: &str, name: &str| [flag.to_owned(), shown(&self.path(name))];
        [named("--tls-cert", "cert.pem"), named("--tls-key", "key.pem")].concat()
    }

    /// A client that trusts whoever signed the certificate, and offers these protocols.
    pub fn connector(&self, versions: &[&'static SupportedProtocolVersion], protocols: &[&str]) -> TlsConnector {
        let ca = CertificateDer::from_pem_file(self.path("ca.pem")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(ca).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    /// The usual client.
    pub fn client(&self) -> TlsConnector {
        self.connector(ALL_VERSIONS, &["http/1.1"])
    }
}

/// A path as a flag has it.
pub fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
