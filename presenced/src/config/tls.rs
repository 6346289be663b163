//! The settings of TLS: both or none of them, and none that a reload would have to begin to listen anew for.

use std::path::PathBuf;

use super::{Config, ConfigError};

/// The files of the daemon's certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The files as they were named, each by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

impl Config {
    /// What the listeners serve TLS with; none if they don't.
    pub(crate) fn tls(&self) -> Option<TlsFiles> {
        let TlsSettings { certificate, key } = self.tls.clone();
        Some(TlsFiles {
            certificate: certificate?,
            key: key?,
        })
    }

    /// The scheme of the daemon's own addresses.
    pub(crate) fn scheme(&self) -> &'static str {
        match self.tls() {
            Some(_) => "https",
            None => "http",
        }
    }
}

pub(super) fn check(settings: &TlsSettings) -> Result<(), ConfigError> {
    let (given, missing) = match (&settings.certificate, &settings.key) {
        (Some(_), None) => ("--tls-cert", "--tls-key"),
        (None, Some(_)) => ("--tls-key", "--tls-cert"),
        _ => return Ok(()),
    };
    let text = format!("{given} is of no use without {missing}: TLS needs a certificate and its key");
    Err(ConfigError(text))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::config::{Config, Outcome, load};

    const FILES: [&str; 2] = ["--tls-cert=/c.pem", "--tls-key=/k.pem"];

    fn config(arguments: &[&str]) -> Result<Box<Config>, String> {
        let arguments = ["presenced"].iter().chain(arguments).map(|text| (*text).into());
        match load(arguments, [("HOME".into(), "/home/op".into())]) {
            Ok(Outcome::Run(config)) => Ok(config),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn tls_needs_a_certificate_and_a_key() {
        for (given, missing) in [(FILES[0], "without --tls-key"), (FILES[1], "without --tls-cert")] {
            let error = config(&[given]).expect_err(given);
            assert!(error.contains(missing), "{error}");
        }
        let with_tls = config(&FILES).expect("a configuration");
        assert_eq!((with_tls.scheme(), with_tls.tls().is_some()), ("https", true));
        let without = config(&[]).expect("a configuration");
        assert_eq!((without.scheme(), without.tls()), ("http", None));
    }

    #[test]
    fn with_tls_others_may_reach_the_listeners() {
        let open = ["--listen=0.0.0.0:7420", "--metrics-listen=0.0.0.0:7421"];
        assert!(config(&open).is_err());
        let config = config(&[open, FILES].concat()).expect("a configuration");
        assert_eq!(config.exposed_listeners().count(), 0);
    }

    #[test]
    fn a_reload_takes_other_files_and_neither_begins_nor_ends_tls() {
        let with_tls = || *config(&FILES).expect("a configuration");
        let without = || *config(&[]).expect("a configuration");
        let other = *config(&["--tls-cert=/c2.pem", FILES[1]]).expect("a configuration");
        let (reloaded, different) = with_tls().reloaded(other).expect("a configuration");
        assert_eq!(
            reloaded.tls().map(|files| files.certificate),
            Some(PathBuf::from("/c2.pem"))
        );
        assert_eq!(
            (different.taken_over, different.restart_needed.len()),
            (vec!["tls-cert"], 0)
        );
        for (running, new) in [(with_tls(), without()), (without(), with_tls())] {
            let before = running.tls();
            let (reloaded, different) = running.reloaded(new).expect("a configuration");
            assert_eq!(reloaded.tls(), before);
            assert_eq!(different.restart_needed, ["tls-cert", "tls-key"]);
        }
    }
}
