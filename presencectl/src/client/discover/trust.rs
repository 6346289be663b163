//! By what the certificate of the selected daemon is verified.

use std::path::{Path, PathBuf};

use super::{Finder, RecordedDaemon, ServerUrl, Source};
use crate::client::tls::{ClientTls, Trust};
use crate::failure::Failure;

impl Finder {
    /// The file that was named with certificates that may sign the daemon's.
    pub(super) fn ca_file(&self, source: &Source) -> Option<PathBuf> {
        let of_context = match source {
            Source::Context(_, context) => context.ca_file.clone(),
            Source::Named(..) | Source::DataDir => None,
        };
        let given = self.arguments.ca_file.clone().or(of_context);
        given.or_else(|| self.environment.ca_file.clone())
    }
}

/// None without TLS. The daemon of this machine is known by the certificate that it recorded, unless a file was named.
pub(super) fn of(
    server: &ServerUrl,
    ca_file: Option<&Path>,
    daemon: Option<&RecordedDaemon>,
) -> Result<Option<ClientTls>, Failure> {
    if !server.is_https() {
        return Ok(None);
    }
    let recorded = daemon.map(|daemon| daemon.directory().join("tls-certificate"));
    let recorded = recorded.filter(|path| path.exists());
    let trust = match (ca_file, &recorded) {
        (Some(path), _) => Trust::CaFile(path),
        (None, Some(path)) => Trust::Recorded(path),
        (None, None) => Trust::System,
    };
    ClientTls::new(trust).map(Some)
}
