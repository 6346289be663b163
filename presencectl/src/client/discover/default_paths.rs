//! Where files are by default on this machine.

use std::env;
use std::path::PathBuf;

/// Default paths on this machine; `None` where neither the variable nor `HOME` is set.
#[derive(Debug, Clone, Default)]
pub(crate) struct DefaultPaths {
    /// The configuration file with the contexts.
    pub(crate) config: Option<PathBuf>,
    /// The data directory of a daemon that runs without configuration.
    pub(crate) data_dir: Option<PathBuf>,
}

impl DefaultPaths {
    /// From the XDG variables, else below `HOME`.
    pub(crate) fn from_environment() -> Self {
        let directory = |variable: &str, below_home: &str| {
            let absolute = |path: &PathBuf| path.is_absolute();
            let named = env::var_os(variable).map(PathBuf::from).filter(absolute);
            named.or_else(|| {
                env::var_os("HOME")
                    .map(|home| PathBuf::from(home).join(below_home))
                    .filter(absolute)
            })
        };
        Self {
            config: directory("XDG_CONFIG_HOME", ".config").map(|path| path.join("presencectl/config.toml")),
            data_dir: directory("XDG_STATE_HOME", ".local/state").map(|path| path.join("presenced")),
        }
    }
}
