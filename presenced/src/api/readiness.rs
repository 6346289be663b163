//! Whether the daemon can serve, and if not, why. The app says how to find out; nothing here looks by itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use presence::wire::rest::Health;

/// What is looked at for every answer. Cheap to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Vitals {
    /// Why the store can't write, if it can't; for strangers too, so no paths.
    pub(crate) store_error: Option<String>,
    /// Whatever else keeps the daemon from serving, such as a stalled timer loop, a sentence each.
    pub(crate) problems: Vec<String>,
}

/// Whether the daemon can serve.
pub(crate) struct Readiness {
    draining: AtomicBool,
    probe: Box<dyn Fn() -> Vitals + Send + Sync>,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}

impl Readiness {
    /// `probe` looks at the store and the loops.
    pub(crate) fn new(probe: impl Fn() -> Vitals + Send + Sync + 'static) -> Self {
        Self {
            draining: AtomicBool::new(false),
            probe: Box::new(probe),
        }
    }

    /// The daemon goes down; from now on it is not ready.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn vitals(&self) -> Vitals {
        (self.probe)()
    }

    pub(super) fn health(&self) -> Health {
        let vitals = self.vitals();
        let draining = self
            .draining
            .load(Ordering::Acquire)
            .then(|| "the daemon is going down".to_owned());
        let store = vitals
            .store_error
            .map(|error| format!("the store can't write: {error}"));
        let problems: Vec<String> = draining.into_iter().chain(store).chain(vitals.problems).collect();
        Health {
            ok: problems.is_empty(),
            problems,
        }
    }
}
