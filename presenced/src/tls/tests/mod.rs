//! Certificates, and pairs of sockets with TLS between them.

mod identity;
mod machine;
mod socket;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::{AcceptError, TlsIdentity, TlsSocket, accept};

/// The longest anything here may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A directory with a certificate for `localhost` and its key.
pub(crate) struct Files {
    dir: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        let files = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap();
        files.write("cert.pem", &certificate.self_signed(&key).unwrap().pem());
        files.write("key.pem", &key.serialize_pem());
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn identity(&self) -> TlsIdentity {
        TlsIdentity::read(&self.path("cert.pem"), &self.path("key.pem")).unwrap()
    }
}

/// A client that takes the certificate of these files.
pub(crate) fn client(identity: &TlsIdentity, version: &'static SupportedProtocolVersion) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(identity.chain()[0].clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A client's and a daemon's socket, connected by TCP.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// A client and the daemon's end, after the handshake.
pub(crate) async fn pair(version: &'static SupportedProtocolVersion) -> (TlsStream<TcpStream>, TlsSocket) {
    let (client_tcp, daemon_tcp) = tcp_pair().await;
    let identity = Files::new().identity();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = client(&identity, version);
    let (client, daemon) = tokio::join!(
        connector.connect(name, client_tcp),
        accept(Arc::clone(identity.config()), daemon_tcp)
    );
    let daemon = daemon.unwrap();
    // As sockets of connections have it.
    let options = socket2::SockRef::from(daemon.tcp());
    options.set_send_buffer_size(64 * 1024).unwrap();
    (client.unwrap(), daemon)
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("not in time")
}
