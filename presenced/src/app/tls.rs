//! The certificate of the listeners: read at the start and at a reload, shown in the log and in the statistics, and told to tools on
//! this machine, which take it for the daemon's own whatever names it has.

use std::sync::Arc;
use std::time::Duration;

use presence::SystemWall;
use prometheus_client::registry::Registry;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::tls::{ServedIdentity, TlsIdentity};

/// How long before its certificate expires the daemon warns, at each start and reload. `presencectl doctor` does as early.
const EXPIRY_WARN: Duration = Duration::from_secs(21 * 24 * 60 * 60);

/// Reads and checks the files of the settings; none without TLS.
pub(super) fn read(config: &Config) -> anyhow::Result<Option<TlsIdentity>> {
    let Some(files) = config.tls() else {
        return Ok(None);
    };
    Ok(Some(TlsIdentity::read(&files.certificate, &files.key)?))
}

/// What the listeners speak TLS with from the start on.
pub(super) fn first(
    config: &Config,
    data_dir: &DataDir,
    now: SystemWall,
    registry: &mut Registry,
) -> anyhow::Result<Option<Arc<ServedIdentity>>> {
    let identity = read(config)?;
    tell(data_dir, identity.as_ref(), now);
    Ok(identity.map(|identity| Arc::new(ServedIdentity::new(identity, registry))))
}

/// Replaces the certificate. Whether it is another one.
pub(super) fn replace(served: &ServedIdentity, identity: TlsIdentity, data_dir: &DataDir, now: SystemWall) -> bool {
    tell(data_dir, Some(&identity), now);
    served.replace(identity)
}

fn tell(data_dir: &DataDir, identity: Option<&TlsIdentity>, now: SystemWall) {
    let saved = data_dir.save_certificate(identity.map(TlsIdentity::to_pem).as_deref());
    if let Err(error) = saved {
        tracing::error!(%error, "tools on this machine can't tell the daemon's certificate until the next start or reload");
    }
    let Some(identity) = identity else {
        return;
    };
    let (from, until) = (
        identity.not_before().record_time(None),
        identity.not_after().record_time(None),
    );
    match age(identity.not_before(), identity.not_after(), now) {
        CertificateAge::Current => tracing::info!(expires = %until, "TLS with the certificate of --tls-cert"),
        CertificateAge::EndsSoon => {
            tracing::warn!(expires = %until, "the certificate of --tls-cert expires soon: renew it");
        }
        CertificateAge::Over => {
            tracing::warn!(expired = %until, "the certificate of --tls-cert has expired: clients refuse it");
        }
        CertificateAge::ToCome => {
            tracing::warn!(valid_from = %from, "the certificate of --tls-cert is not valid yet: clients refuse it");
        }
    }
}

/// Where in the life of a certificate a moment lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CertificateAge {
    Current,
    EndsSoon,
    Over,
    ToCome,
}

fn age(from: SystemWall, until: SystemWall, now: SystemWall) -> CertificateAge {
    if now < from {
        return CertificateAge::ToCome;
    }
    if now >= until {
        return CertificateAge::Over;
    }
    match now.after(EXPIRY_WARN) < until {
        true => CertificateAge::Current,
        false => CertificateAge::EndsSoon,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_before_and_after_its_time() {
        let day = |days: i64| SystemWall::from_millis(days * 24 * 60 * 60 * 1000);
        for (now, expected) in [
            (9, CertificateAge::ToCome),
            (10, CertificateAge::Current),
            (78, CertificateAge::Current),
            (79, CertificateAge::EndsSoon),
            (99, CertificateAge::EndsSoon),
            (100, CertificateAge::Over),
        ] {
            assert_eq!(age(day(10), day(100), day(now)), expected, "day {now}");
        }
    }
}
