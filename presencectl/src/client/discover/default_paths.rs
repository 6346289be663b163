//! Where files are by default on this machine.

use std::env;
use std::path::PathBuf;

use crate::client::recorded_daemon::RecordedDaemon;

/// The data directory of the service that packages install: `StateDirectory=` of `deploy/systemd/presenced.service`.
const SERVICE_DATA_DIR: &str = "/var/lib/presenced";

/// Default paths on this machine; `None` where neither the variable nor `HOME` is set.
#[derive(Debug, Clone, Default)]
pub(crate) struct DefaultPaths {
    /// The configuration file with the contexts.
    pub(crate) config: Option<PathBuf>,
    /// The data directory of a daemon that this user runs without configuration.
    pub(crate) own_data_dir: Option<PathBuf>,
    /// The data directory of the service; none if `XDG_STATE_HOME` says where to look.
    pub(crate) service_data_dir: Option<PathBuf>,
}

impl DefaultPaths {
    /// From the XDG variables, else below `HOME`.
    pub(crate) fn from_environment() -> Self {
        let named = |variable: &str| {
            let absolute = |path: &PathBuf| path.is_absolute();
            env::var_os(variable).map(PathBuf::from).filter(absolute)
        };
        let directory = |variable: &str, below_home: &str| {
            named(variable).or_else(|| named("HOME").map(|home| home.join(below_home)))
        };
        Self {
            config: directory("XDG_CONFIG_HOME", ".config").map(|path| path.join("presencectl/config.toml")),
            own_data_dir: directory("XDG_STATE_HOME", ".local/state").map(|path| path.join("presenced")),
            service_data_dir: named("XDG_STATE_HOME").is_none().then(|| SERVICE_DATA_DIR.into()),
        }
    }

    /// The data directory of the daemon of this machine: the user's own, unless the service alone runs or exists.
    pub(crate) fn data_dir(&self) -> Option<PathBuf> {
        let own = self.own_data_dir.clone();
        // Only its owner and root can see whether the service runs, but everybody whether it is installed.
        let Some(service) = self.service_data_dir.clone().filter(|directory| directory.exists()) else {
            return own;
        };
        let runs = |directory: &PathBuf| RecordedDaemon::new(directory.clone()).address().is_ok();
        let is_service = match &own {
            Some(own) => !runs(own) && (runs(&service) || !own.exists()),
            None => true,
        };
        if is_service { Some(service) } else { own }
    }
}
