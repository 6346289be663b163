//! What the contract is tried on: each implementation of a partition, behind the same few functions.

use std::collections::{BTreeMap, BTreeSet};

use presence::replication::{
    Answer, Call, Caller, ConnectionNumber, Content, Entry, Incarnation, Listed, Outcome, Question, Reply, StatePage,
    UserOffer,
};
use presence::{Revision, UserId};

use super::super::link::Link;
use super::server::RedisServer;

/// A partition, empty at first.
pub(super) struct Subject {
    server: RedisServer,
    link: Link,
}

impl Subject {
    /// One of each kind.
    pub(super) async fn all() -> Vec<Self> {
        vec![Self::of_redis().await]
    }

    pub(super) async fn of_redis() -> Self {
        let server = RedisServer::start(&[]).await;
        let link = server.link(3).await;
        Self { server, link }
    }

    pub(super) fn server(&self) -> &RedisServer {
        &self.server
    }

    pub(super) async fn call(&mut self, call: &Call) -> Answer {
        self.link.call(call).await.expect("an answer")
    }

    pub(super) async fn query(&mut self, query: Question) -> Reply {
        self.link.query(query).await.expect("an answer")
    }

    /// The server ends and is there again, with all it had.
    pub(super) async fn restart(&mut self) {
        self.server.restart().await;
        self.link = self.server.link(3).await;
    }

    /// The state is lost, the log is not.
    pub(super) async fn lose_state(&mut self) {
        self.server.command(&["DEL", "presence:{3}:state"]).await;
    }

    /// Only the newest entries are left of the log.
    pub(super) async fn trim(&mut self, entries: usize) {
        let entries = entries.to_string();
        self.server
            .command(&["XTRIM", "presence:{3}:log", "MAXLEN", &entries])
            .await;
    }

    /// Who is listed as present for other services.
    pub(super) async fn online(&self) -> BTreeSet<String> {
        self.server.read(&["SMEMBERS", "presence:{3}:online"]).await
    }

    /// The custom statuses that are listed for other services.
    pub(super) async fn custom_statuses(&self) -> BTreeMap<String, String> {
        self.server.read(&["HGETALL", "presence:{3}:custom-status"]).await
    }

    /// Registers, and gives the answer.
    pub(super) async fn register(&mut self, caller: Caller) -> Answer {
        let register = Call::Register {
            caller,
            node: node_of(caller),
            new_epoch: 7,
            floor: Revision::NEVER,
        };
        self.call(&register).await
    }

    pub(super) async fn offer(&mut self, caller: Caller, users: Vec<UserOffer>) -> Vec<Outcome> {
        match self.call(&Call::Offer { caller, users }).await {
            Answer::Offered { outcomes, .. } => outcomes,
            other => panic!("not an answer to an offer: {other:?}"),
        }
    }

    /// Offers the state of one user, which is taken.
    pub(super) async fn take(&mut self, caller: Caller, offer: UserOffer) -> Revision {
        match self.offer(caller, vec![offer]).await.as_slice() {
            [Outcome::Taken(revision)] => *revision,
            other => panic!("not taken: {other:?}"),
        }
    }

    pub(super) async fn note(&mut self, call: Call) -> Option<Revision> {
        match self.call(&call).await {
            Answer::Noted { revision, .. } => revision,
            Answer::Ticked { revision, .. } => Some(revision),
            other => panic!("not noted: {other:?}"),
        }
    }

    pub(super) async fn head(&mut self) -> Revision {
        match self.query(Question::Head).await {
            Reply::Head { head, .. } => head,
            other => panic!("not a head: {other:?}"),
        }
    }

    pub(super) async fn entries(&mut self, after: Revision) -> Vec<Entry> {
        match self.query(Question::Read { after }).await {
            Reply::Entries(entries) => entries,
            other => panic!("not entries: {other:?}"),
        }
    }

    /// The contents of all entries, after a look at their chain: ids grow, and each names the one before it.
    pub(super) async fn history(&mut self) -> Vec<Content> {
        let entries = self.entries(Revision::NEVER).await;
        for pair in entries.windows(2) {
            assert!(pair[0].id < pair[1].id && pair[1].before == pair[0].id, "{pair:?}");
        }
        assert_eq!(
            entries.last().map_or(Revision::NEVER, |last| last.id),
            self.head().await
        );
        entries.into_iter().map(|entry| entry.content).collect()
    }

    /// The whole state, from all its pages.
    pub(super) async fn state(&mut self) -> StatePage {
        let (mut all, mut place) = (StatePage::default(), Some(0));
        while let Some(at) = place {
            let Reply::Page(page) = self.query(Question::Page { place: at }).await else {
                panic!("not a page")
            };
            all.users.extend(page.users);
            all.registrations.extend(page.registrations);
            place = page.next;
        }
        all.users.sort();
        all.users.dedup();
        all.registrations.sort();
        all.registrations.dedup();
        all
    }
}

/// The first node, on its first connection.
pub(super) const A: Caller = caller(0xa, 1);
/// The second one.
pub(super) const B: Caller = caller(0xb, 1);

pub(super) const fn caller(incarnation: u64, connection: u64) -> Caller {
    Caller {
        incarnation: Incarnation(incarnation),
        connection: ConnectionNumber(connection),
    }
}

/// What a node tells of itself: not UTF-8, so that nobody reads it.
pub(super) fn node_of(caller: Caller) -> Vec<u8> {
    let number = u8::try_from(caller.incarnation.0).expect("small");
    vec![number, b' ', 0, 0xff, b'\r', b'\n']
}

pub(super) fn user(name: &str) -> UserId {
    UserId::new(name).expect("a user id")
}

/// The offer of a state of somebody present, who was not there before.
pub(super) fn present(name: &str, state: &[u8]) -> UserOffer {
    UserOffer {
        user: user(name),
        base: None,
        floor: Revision::NEVER,
        is_present: true,
        listed: Listed::Keep,
        state: state.to_vec(),
    }
}
