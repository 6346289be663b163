//! What the fake daemon, which is shared with the tests of `presencectl` itself, wants to know of its surroundings.

use std::time::Duration;

/// Longer than anything here takes.
pub(crate) const DEADLINE: Duration = presence_tests::DEADLINE;
