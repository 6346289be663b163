//! What the fake daemon, shared with the tests of `presencectl`, expects of its including crate.

use std::time::Duration;

pub(crate) const DEADLINE: Duration = presence_tests::DEADLINE;
