//! The versions that a group of requests says the log has, and with them the marks `unpublished` of its users.

use std::collections::BTreeMap;

use presence::{UserId, Version};

use super::columns::{column, stored};
use super::session::Parameters;

/// Each user once, in order.
#[derive(Debug, Default)]
pub(super) struct PublishedVersions<'a>(BTreeMap<&'a UserId, Published>);

#[derive(Debug, Clone, Copy, Default)]
struct Published {
    highest: Version,
    /// With the last status, which may be that of an entry that came late.
    of_last_status: Option<Version>,
}

impl<'a> PublishedVersions<'a> {
    /// The log has this version.
    pub(super) fn note(&mut self, user: &'a UserId, version: Version) {
        let published = self.0.entry(user).or_default();
        published.highest = published.highest.max(version);
    }

    /// The log has this version with a status that is written.
    pub(super) fn note_with_status(&mut self, user: &'a UserId, version: Version) {
        self.note(user, version);
        self.0.entry(user).or_default().of_last_status = Some(version);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn users(&self) -> impl Iterator<Item = &'a UserId> {
        self.0.keys().copied()
    }

    /// Of the statement that sets and clears the marks.
    pub(super) fn parameters(&self) -> Parameters<'a> {
        let all: Vec<_> = self.0.iter().collect();
        let version_of_last = |published: &Published| published.of_last_status.map(|version| stored(version.get()));
        vec![
            column(&all, |(user, _)| user.as_str()),
            column(&all, |(_, published)| stored(published.highest.get())),
            column(&all, |(_, published)| version_of_last(published)),
        ]
    }
}
