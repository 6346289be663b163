//! Configuration: what was typed (flags, environment, file) and what it means.

pub(crate) mod limits;
