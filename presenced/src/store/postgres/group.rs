//! The requests that share one transaction, as the statements that do them together. A user has one write of its durable
//! part in a group at most, so that each can be answered with what it left.

use std::collections::HashMap;

use presence::{UserId, Version};
use tokio_postgres::{Client, Row as SqlRow, Statement};

use super::columns::{Parameter, column, encode_nodes, in_order, millis, stored};
use super::decode;
use super::failure::Failure;
use super::published_versions::PublishedVersions;
use super::session::{Parameters, ServerAnswer, query};
use super::statements::WriteStatements;
use super::tombstones::{self, KnownTombstones};
use crate::store::write_request::{DurableChange, DurableWrite, PlainWrite, WriteRequest};
use crate::store::{Access, DurableRow, ExpiredReport, StatusRow, StoreError, StoredRevocation};

/// The requests of one transaction by kind, without what a tombstone covers.
#[derive(Debug, Default)]
pub(super) struct Group<'a> {
    /// Ordered by user.
    durable: Vec<&'a DurableWrite>,
    /// A user that comes more than once is once in each part. Each is ordered by user.
    statuses: Vec<Vec<&'a StatusRow>>,
    expired: Vec<&'a ExpiredReport>,
    published: PublishedVersions<'a>,
    /// The users that a tombstone may be of, those that one covers as well.
    looked_up: Vec<&'a UserId>,
}

/// The answers of the server to a group.
#[derive(Debug, Default)]
pub(super) struct GroupAnswers {
    pub(super) parts: HashMap<String, DurableRow>,
    /// The tombstones of the users that were written.
    pub(super) tombstones: KnownTombstones,
    /// How many tombstones were pruned, if that was the request.
    pub(super) pruned: usize,
    /// What is stored of a user's revoked tokens, if those were revoked.
    pub(super) revoked: Option<StoredRevocation>,
}

/// Which answer means what.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    Nothing,
    Durable,
    Reports,
    Tombstones,
}

impl<'a> Group<'a> {
    pub(super) fn new(requests: &'a [WriteRequest], known: &KnownTombstones) -> Self {
        let mut group = Self::default();
        let mut statuses = Vec::new();
        for request in requests {
            match request {
                WriteRequest::Durable(write, _) => {
                    group.looked_up.push(&write.user);
                    group.durable.extend((!is_covered(write, known)).then_some(write));
                }
                WriteRequest::Plain(PlainWrite::Statuses(rows), _) => {
                    group.looked_up.extend(rows.iter().map(|row| &row.user));
                    let rows = rows.iter().filter(|row| !known.covers(&row.user, row.revision));
                    for row in rows {
                        statuses.push(row);
                        if let Some(version) = row.published {
                            group.published.note_with_status(&row.user, version);
                        }
                    }
                }
                WriteRequest::Plain(PlainWrite::Published(versions), _) => {
                    for (user, version) in versions {
                        group.published.note(user, *version);
                    }
                }
                WriteRequest::Plain(PlainWrite::Expired(expired), _) => group.expired.extend(expired),
                WriteRequest::Plain(..) | WriteRequest::Prune(..) | WriteRequest::Revoke(..) => {}
            }
        }
        group.durable.sort_unstable_by(|one, other| one.user.cmp(&other.user));
        group.expired.sort_unstable_by(|one, other| one.user.cmp(&other.user));
        group.statuses = in_rounds(statuses);
        group
    }

    pub(super) fn is_empty(&self) -> bool {
        self.durable.is_empty() && self.statuses.is_empty() && self.expired.is_empty() && self.published.is_empty()
    }

    /// Sends everything, in the transaction that is open, after what `begin` sends.
    pub(super) fn send(
        &self,
        (client, statements): (&'a Client, &'a WriteStatements),
        known: &KnownTombstones,
        begin: Vec<ServerAnswer<'a>>,
    ) -> SentGroup<'a>
    where
        Self: 'a,
    {
        let mut sent = SentGroup {
            client,
            meanings: vec![Meaning::Nothing; begin.len()],
            answers: begin,
        };
        if self.is_empty() {
            return sent;
        }
        sent.add(&statements.number_transaction, vec![], Meaning::Nothing);
        if statements.access == Access::Shared {
            sent.add(
                &statements.make_users,
                vec![Box::new(self.made_users())],
                Meaning::Nothing,
            );
        }
        sent.add(&statements.lock_users, vec![Box::new(self.users())], Meaning::Nothing);
        self.send_preferences(statements, known, &mut sent);
        self.send_reports(statements, known, &mut sent);
        self.send_ends_of_all(statements, known, &mut sent);
        if !self.durable.is_empty() {
            let users: Vec<&str> = self.durable.iter().map(|write| write.user.as_str()).collect();
            sent.add(&statements.select_reports, vec![Box::new(users)], Meaning::Reports);
        }
        for rows in &self.statuses {
            send_statuses(rows, statements, &mut sent);
        }
        self.send_expiries(statements, &mut sent);
        self.send_published(statements, &mut sent);
        let hashes: Vec<Vec<u8>> = self
            .looked_up
            .iter()
            .map(|user| tombstones::hash(user).to_vec())
            .collect();
        sent.add(&statements.tombstones, vec![Box::new(hashes)], Meaning::Tombstones);
        sent
    }

    /// All users that are written, each once.
    fn users(&self) -> Vec<&'a str> {
        let durable = self.durable.iter().map(|write| &write.user);
        let statuses = self.statuses.iter().flatten().map(|row| &row.user);
        let expired = self.expired.iter().map(|report| &report.user);
        let published = self.published.users();
        in_order(durable.chain(statuses).chain(expired).chain(published))
    }

    /// Those that are made if they are not stored.
    fn made_users(&self) -> Vec<&'a str> {
        let is_made = |write: &&&DurableWrite| !matches!(write.change, DurableChange::EndReports);
        let durable = self.durable.iter().filter(is_made).map(|write| &write.user);
        in_order(durable.chain(self.statuses.iter().flatten().map(|row| &row.user)))
    }

    fn send_preferences(&self, statements: &'a WriteStatements, known: &KnownTombstones, sent: &mut SentGroup<'a>) {
        let rows: Vec<_> = self
            .durable
            .iter()
            .filter_map(|write| match &write.change {
                DurableChange::Preference { preference, revision } => Some((write, *preference, *revision)),
                _ => None,
            })
            .collect();
        if rows.is_empty() {
            return;
        }
        let parameters: Parameters<'a> = vec![
            column(&rows, |(write, ..)| write.user.as_str()),
            column(&rows, |(_, preference, _)| preference.custom.as_str()),
            column(&rows, |(_, preference, _)| preference.set_at.as_millis()),
            column(&rows, |(_, preference, _)| preference.set_by.as_str()),
            column(&rows, |(write, ..)| proposed(write, known)),
            column(&rows, |(.., revision)| stored(revision.get())),
            is_marked(statements),
        ];
        sent.add(&statements.save_preferences, parameters, Meaning::Durable);
    }

    fn send_reports(&self, statements: &'a WriteStatements, known: &KnownTombstones, sent: &mut SentGroup<'a>) {
        let (mut raised, mut made, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for write in &self.durable {
            match &write.change {
                DurableChange::Report { report, times } => {
                    raised.push((write, times, None));
                    made.push((write.user.as_str(), report));
                }
                DurableChange::EndReport { source, times } => {
                    raised.push((write, times, Some(source.as_str())));
                    ended.push((write.user.as_str(), source));
                }
                DurableChange::Preference { .. } | DurableChange::EndReports | DurableChange::ForgetOlder { .. } => {}
            }
        }
        if raised.is_empty() {
            return;
        }
        let parameters: Parameters<'a> = vec![
            column(&raised, |(write, ..)| write.user.as_str()),
            column(&raised, |(_, times, _)| times.last_seen.as_millis()),
            column(&raised, |(_, times, _)| millis(times.last_active)),
            column(&raised, |(write, ..)| proposed(write, known)),
            is_marked(statements),
            column(&raised, |(.., ended)| *ended),
        ];
        sent.add(&statements.raise_versions, parameters, Meaning::Durable);
        if !made.is_empty() {
            let parameters: Parameters<'a> = vec![
                column(&made, |(user, _)| *user),
                column(&made, |(_, report)| report.source.as_str()),
                column(&made, |(_, report)| report.status.as_str()),
                column(&made, |(_, report)| report.since.as_millis()),
                column(&made, |(_, report)| report.heard.as_millis()),
                column(&made, |(_, report)| millis(report.last_active)),
                column(&made, |(_, report)| millis(report.expires_at)),
                column(&made, |(_, report)| report.said.map(Version::get).map(stored)),
            ];
            sent.add(&statements.save_reports, parameters, Meaning::Nothing);
        }
        if !ended.is_empty() {
            let parameters: Parameters<'a> = vec![
                column(&ended, |(user, _)| *user),
                column(&ended, |(_, source)| source.as_str()),
            ];
            sent.add(&statements.delete_report, parameters, Meaning::Nothing);
        }
    }

    fn send_ends_of_all(&self, statements: &'a WriteStatements, known: &KnownTombstones, sent: &mut SentGroup<'a>) {
        let is_end = |write: &&&DurableWrite| matches!(write.change, DurableChange::EndReports);
        let rows: Vec<_> = self.durable.iter().filter(is_end).collect();
        if rows.is_empty() {
            return;
        }
        let users: Vec<&str> = rows.iter().map(|write| write.user.as_str()).collect();
        let parameters: Parameters<'a> = vec![
            Box::new(users.clone()),
            column(&rows, |write| proposed(write, known)),
            is_marked(statements),
        ];
        sent.add(&statements.raise_known_versions, parameters, Meaning::Durable);
        sent.add(&statements.delete_reports, vec![Box::new(users)], Meaning::Nothing);
    }

    fn send_expiries(&self, statements: &'a WriteStatements, sent: &mut SentGroup<'a>) {
        if self.expired.is_empty() {
            return;
        }
        let parameters: Parameters<'a> = vec![
            column(&self.expired, |report| report.user.as_str()),
            column(&self.expired, |report| report.source.as_str()),
            column(&self.expired, |report| stored(report.version.get())),
            is_marked(statements),
        ];
        sent.add(&statements.expire_reports, parameters, Meaning::Nothing);
    }

    fn send_published(&self, statements: &'a WriteStatements, sent: &mut SentGroup<'a>) {
        if self.published.is_empty() {
            return;
        }
        sent.add(&statements.set_marks, self.published.parameters(), Meaning::Nothing);
    }
}

/// Statements under way.
pub(super) struct SentGroup<'a> {
    client: &'a Client,
    pub(super) answers: Vec<ServerAnswer<'a>>,
    meanings: Vec<Meaning>,
}

impl<'a> SentGroup<'a> {
    fn add(&mut self, statement: &'a Statement, parameters: Parameters<'a>, meaning: Meaning) {
        self.answers.push(query(self.client, statement, parameters));
        self.meanings.push(meaning);
    }

    /// What the answers say, once they are there, by [`Self::meanings`].
    pub(super) fn decoder(&self) -> impl FnOnce(Vec<Vec<SqlRow>>) -> Result<GroupAnswers, Failure> + use<> {
        let meanings = self.meanings.clone();
        move |answers| {
            let mut decoded = GroupAnswers::default();
            for (meaning, rows) in meanings.into_iter().zip(answers) {
                decoded.take(meaning, &rows)?;
            }
            Ok(decoded)
        }
    }
}

impl GroupAnswers {
    fn take(&mut self, meaning: Meaning, rows: &[SqlRow]) -> Result<(), Failure> {
        match meaning {
            Meaning::Nothing => {}
            Meaning::Durable => {
                for row in rows {
                    let user: &str = row.try_get(0)?;
                    self.parts.insert(user.to_owned(), decode::durable_part(row, 1)?);
                }
            }
            Meaning::Reports => {
                for row in rows {
                    if let Some(part) = self.parts.get_mut(row.try_get::<_, &str>(0)?) {
                        part.reports.extend(decode::report(row, 1)?);
                    }
                }
            }
            Meaning::Tombstones => self.tombstones = tombstones::decode(rows)?,
        }
        Ok(())
    }

    /// The version of a user after the group, if its durable part was written.
    pub(super) fn version(&self, user: &UserId) -> Option<Version> {
        self.parts.get(user.as_str()).map(|part| part.version)
    }

    /// The answer to one write of the group.
    pub(super) fn of(&mut self, write: &DurableWrite, known: &KnownTombstones) -> Result<DurableRow, StoreError> {
        if is_covered(write, known) {
            return Err(StoreError::Forgotten);
        }
        // None: all reports of a user were ended that is not stored.
        Ok(self.parts.remove(write.user.as_str()).unwrap_or_default())
    }
}

fn is_covered(write: &DurableWrite, known: &KnownTombstones) -> bool {
    match &write.change {
        DurableChange::Preference { revision, .. } => known.covers(&write.user, *revision),
        _ => false,
    }
}

/// Parts in which each user comes once, in the order in which it came.
fn in_rounds(rows: Vec<&StatusRow>) -> Vec<Vec<&StatusRow>> {
    let mut rounds: Vec<Vec<&StatusRow>> = Vec::new();
    let mut seen: HashMap<&UserId, usize> = HashMap::with_capacity(rows.len());
    for row in rows {
        let round = seen.entry(&row.user).or_default();
        match rounds.get_mut(*round) {
            Some(rows) => rows.push(row),
            None => rounds.push(vec![row]),
        }
        *round += 1;
    }
    for rows in &mut rounds {
        rows.sort_unstable_by(|one, other| one.user.cmp(&other.user));
    }
    rounds
}

fn send_statuses<'a>(rows: &[&'a StatusRow], statements: &'a WriteStatements, sent: &mut SentGroup<'a>) {
    let clamped: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row.user.as_str(), row.clamp_to?.as_millis())))
        .collect();
    if !clamped.is_empty() {
        for statement in [&statements.clamp_profiles, &statements.clamp_reports] {
            let parameters: Parameters<'a> = vec![
                column(&clamped, |(user, _)| *user),
                column(&clamped, |(_, latest)| *latest),
            ];
            sent.add(statement, parameters, Meaning::Nothing);
        }
    }
    let parameters: Parameters<'a> = vec![
        column(rows, |row| row.user.as_str()),
        column(rows, |row| row.status.as_str()),
        column(rows, |row| millis(row.since)),
        column(rows, |row| encode_nodes(&row.connected_on)),
        column(rows, |row| millis(row.last_seen)),
        column(rows, |row| millis(row.last_active)),
        column(rows, |row| stored(row.revision.get())),
    ];
    sent.add(&statements.save_statuses, parameters, Meaning::Nothing);
}

/// Whether what is written of the durable part has to be published.
fn is_marked<'a>(statements: &WriteStatements) -> Parameter<'a> {
    Box::new(statements.access == Access::Shared)
}

/// A user that was forgotten goes on above its last version.
fn proposed(write: &DurableWrite, known: &KnownTombstones) -> i64 {
    stored(write.proposed.get()).max(known.version(&write.user))
}
