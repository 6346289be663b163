//! Encoded records. A record is encoded once for each kind of viewer, however many watch it, and not again in later batches of
//! deliveries while it is the same.

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;
use presence::wire::client_message::MessageId;
use presence::wire::record::{Removed, Update, Viewer};
use presence::wire::server_message::{ServerMessage, frame as message};
use presence::{Cursor, Revision, UserId, Wall};

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::connection::frame::{self, Opcode};
use crate::connection::user_pin::UserRef;
use crate::engine::users::LockedEntry;

/// Longest message to a client, in bytes.
const MESSAGE_MAX_BYTES: usize = 64 * 1024;

/// Bytes of encoded records that are kept in one batch. Far more than are sent to many at once; without a bound, a batch of
/// snapshots would keep every record of every snapshot, though nobody else gets most of them. With the events made of them
/// and what keeps track of them, a batch takes three times as much.
const CACHE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of encoded records that are kept from one batch to the next: of a thousand users, whom many come to watch. What keeps track
/// of them takes twice as much again.
const KEPT_MAX_BYTES: usize = 256 * 1024;

/// In a snapshot from the start, a removed user is one never seen; to a client that knew it, it is a removal.
#[derive(PartialEq, Eq, Clone, Copy)]
pub(super) enum Moment {
    Snapshot,
    Event,
}

/// One encoded update.
pub(super) struct EncodedUpdate {
    update: Update,
    json: String,
    in_batch: RefCell<InBatch>,
}

/// What is so of an encoded update in one batch.
#[derive(Default)]
struct InBatch {
    /// The last batch in which the user was found to be as it says.
    number: u64,
    /// The finished event that carries this update alone, with the cursor and the time in it.
    event: Option<(Cursor, Rc<[u8]>)>,
}

impl EncodedUpdate {
    fn new(update: Update) -> Rc<Self> {
        Rc::new(Self {
            json: update.encode(),
            update,
            in_batch: RefCell::default(),
        })
    }

    /// It is so in this batch too. An event of an earlier one tells another time.
    fn renew(&self, batch: u64) {
        let mut in_batch = self.in_batch.borrow_mut();
        if in_batch.number != batch {
            *in_batch = InBatch {
                number: batch,
                event: None,
            };
        }
    }

    /// The latest of the times in it.
    fn latest_time(&self) -> Option<Wall> {
        match &self.update {
            Update::Record(record) => record.latest_time(),
            Update::Removed(_) => None,
        }
    }

    /// The removal of a user.
    pub(super) fn removal(user_id: UserId, revision: Revision) -> Rc<Self> {
        let removed = Removed {
            user_id,
            revision,
            removed: true,
        };
        Self::new(Update::Removed(removed))
    }
}

/// The records that were encoded in one batch of deliveries, for those to whom they go as well, and some of earlier ones.
#[derive(Default)]
pub(super) struct EncodeCache {
    /// Counts the batches.
    batch: u64,
    updates: HashMap<(UserRef, Viewer), Rc<EncodedUpdate>>,
    /// Bytes of the encoded records.
    bytes: usize,
}

impl EncodeCache {
    /// The user as the connection may see it now.
    pub(super) fn encode(
        &mut self,
        cluster: &Cluster,
        entry: &LockedEntry<'_>,
        conn: &Connection,
        moment: Moment,
    ) -> Rc<EncodedUpdate> {
        if let Some(revision) = entry.publication.removed_at()
            && moment == Moment::Event
        {
            return EncodedUpdate::removal(entry.user().clone(), cluster.told(revision));
        }
        let viewer = conn.viewer_of_entry(entry.at(), entry.user());
        let revision = cluster.told(entry.state.profile().revision());
        let key = (entry.at(), viewer);
        let known = self.updates.get(&key);
        // While a batch is served, a slot may pass to another user.
        let is_now = |known: &&Rc<EncodedUpdate>| {
            let (user, batch) = (known.update.user_id(), known.in_batch.borrow().number);
            batch == self.batch && user == entry.user() && known.update.revision() == revision
        };
        if let Some(known) = known.filter(is_now) {
            return Rc::clone(known);
        }
        // Times and sessions may have changed without a new revision.
        let update = Update::Record(entry.state.record(entry.user(), cluster, viewer));
        let encoded = match known.filter(|known| known.update == update) {
            Some(known) => Rc::clone(known),
            None => {
                let encoded = EncodedUpdate::new(update);
                self.keep(key, &encoded);
                encoded
            }
        };
        encoded.renew(self.batch);
        encoded
    }

    /// Another batch begins.
    pub(super) fn begin_batch(&mut self) {
        if self.bytes > KEPT_MAX_BYTES {
            self.clear();
        }
        self.batch += 1;
    }

    fn clear(&mut self) {
        (self.updates, self.bytes) = Default::default();
    }

    fn keep(&mut self, key: (UserRef, Viewer), encoded: &Rc<EncodedUpdate>) {
        if let Some(outdated) = self.updates.remove(&key) {
            self.bytes -= outdated.json.capacity();
        }
        if self.bytes + encoded.json.capacity() > CACHE_MAX_BYTES {
            self.clear();
        }
        self.bytes += encoded.json.capacity();
        self.updates.insert(key, Rc::clone(encoded));
    }
}

/// A frame to send.
pub(super) enum EncodedFrame {
    Own(Vec<u8>),
    /// The same bytes go to others.
    Shared(Rc<[u8]>),
    Nothing,
}

impl EncodedFrame {
    /// The message that the node may be out of date, or is right again.
    pub(super) fn staleness(is_stale: bool) -> Self {
        let message = ServerMessage::<MessageId>::Stale { stale: is_stale };
        // It holds nothing that JSON can't.
        let text = message.encode().unwrap_or_default();
        Self::Own(frame::encode(Opcode::Text, text.as_bytes()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            Self::Nothing => &[],
        }
    }
}

/// The updates of one message, up to what it holds.
#[derive(Default)]
pub(super) struct UpdateList {
    list: Vec<Rc<EncodedUpdate>>,
    /// The users of the list, each with the revision up to which the update tells it.
    told: Vec<(UserRef, u64)>,
    bytes: usize,
}

impl UpdateList {
    /// `told` is where the user is, and the revision up to which the update tells it.
    pub(super) fn push(&mut self, update: Rc<EncodedUpdate>, told: Option<(UserRef, u64)>) {
        self.bytes += update.json.len() + 1;
        self.list.push(update);
        self.told.extend(told);
    }

    /// Empties the list, and keeps its memory for the next one.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.told.clear();
        self.bytes = 0;
    }

    pub(super) fn told(&self) -> &[(UserRef, u64)] {
        &self.told
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn texts(&self) -> Vec<&str> {
        self.list.iter().map(|update| update.json.as_str()).collect()
    }

    /// The latest of the times in it.
    pub(super) fn latest_time(&self) -> Option<Wall> {
        self.list.iter().filter_map(|update| update.latest_time()).max()
    }

    /// Whether the longest record there can be might not fit any more.
    pub(super) fn is_full(&self) -> bool {
        const RECORD_MAX_BYTES: usize = 2048;
        self.bytes + RECORD_MAX_BYTES + message::OVERHEAD_MAX_BYTES > MESSAGE_MAX_BYTES
    }

    /// The list as an event. An event of one update is encoded once for everyone who may be given the same cursor.
    pub(super) fn event(&self, cursor: Cursor, clock: &Clock) -> EncodedFrame {
        let encode = || {
            let now = clock.record_time(self.latest_time());
            frame::encode(Opcode::Text, message::presence(cursor, now, &self.texts()).as_bytes())
        };
        match self.list.as_slice() {
            [] => EncodedFrame::Nothing,
            [only] => {
                let event = &mut only.in_batch.borrow_mut().event;
                let known = event.as_ref().filter(|(told, _)| *told == cursor);
                if let Some((_, frame)) = known {
                    return EncodedFrame::Shared(Rc::clone(frame));
                }
                let frame: Rc<[u8]> = encode().into();
                *event = Some((cursor, Rc::clone(&frame)));
                EncodedFrame::Shared(frame)
            }
            _ => EncodedFrame::Own(encode()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::tests::stepped_engine::{Stepped, SteppedClient};

    /// The record of a user as it is encoded for a connection.
    fn json(cache: &mut EncodeCache, stepped: &Stepped, name: &str, client: &SteppedClient) -> String {
        let entry = stepped.engine.users.find(&UserId::new(name).expect("a user id"));
        let entry = entry.expect("in memory");
        let encoded = cache.encode(&stepped.engine.cluster, &entry, &client.conn, Moment::Event);
        encoded.json.clone()
    }

    #[tokio::test]
    async fn each_viewer_is_encoded_what_it_may_see() {
        let stepped = Stepped::new().await;
        let (ann, bob, observer) = (
            stepped.connect("ann").await,
            stepped.connect("bob").await,
            stepped.observe(),
        );
        let mut cache = EncodeCache::default();
        let [own, public, internal] = [&ann, &bob, &observer].map(|client| json(&mut cache, &stepped, "ann", client));
        assert!(own.contains("customStatus") && !own.contains("nodes"), "{own}");
        assert!(!public.contains("customStatus"), "{public}");
        assert!(internal.contains("nodes"), "{internal}");
    }

    #[tokio::test]
    async fn a_user_that_changed_is_encoded_again() {
        let stepped = Stepped::new().await;
        let (ann, bob) = (stepped.connect("ann").await, stepped.connect("bob").await);
        let mut cache = EncodeCache::default();
        let before = json(&mut cache, &stepped, "ann", &bob);
        stepped.engine.away(&ann.conn, None).expect("a session");
        let after = json(&mut cache, &stepped, "ann", &bob);
        assert!(before.contains("ONLINE") && after.contains("IDLE"), "{before} {after}");
    }

    #[tokio::test]
    async fn a_user_that_is_the_same_in_the_next_batch_is_not_encoded_again() {
        let stepped = Stepped::new().await;
        let (ann, bob) = (stepped.connect("ann").await, stepped.connect("bob").await);
        let mut cache = EncodeCache::default();
        let mut encode = |is_next: bool| {
            if is_next {
                cache.begin_batch();
            }
            let entry = stepped.engine.users.find(&UserId::new("ann").expect("a user id"));
            let entry = entry.expect("in memory");
            cache.encode(&stepped.engine.cluster, &entry, &bob.conn, Moment::Event)
        };
        let first = encode(true);
        let mut updates = UpdateList::default();
        updates.push(Rc::clone(&first), None);
        let _ = updates.event(stepped.engine.publisher.cursor(1), &stepped.clock);
        assert!(Rc::ptr_eq(&first, &encode(false)) && first.in_batch.borrow().event.is_some());
        assert!(Rc::ptr_eq(&first, &encode(true)));
        assert!(first.in_batch.borrow().event.is_none(), "it has the time of its batch");
        // Heard of, without a new revision.
        stepped.clock.advance(std::time::Duration::from_secs(60));
        stepped.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
        let later = encode(true);
        assert_eq!(later.update.revision(), first.update.revision());
        assert!(
            !Rc::ptr_eq(&first, &later) && later.json != first.json,
            "{}",
            later.json
        );
    }

    #[test]
    fn a_few_encoded_records_are_kept_for_the_next_batch() {
        let mut cache = EncodeCache::default();
        let encoded = EncodedUpdate::removal(UserId::new("ann").expect("a user id"), Revision::new(1));
        for slot in 0..=KEPT_MAX_BYTES / encoded.json.capacity() {
            cache.begin_batch();
            assert_eq!(cache.updates.len(), slot, "kept");
            cache.keep((UserRef::new(0, slot), Viewer::Public), &encoded);
        }
        cache.begin_batch();
        assert_eq!((cache.updates.len(), cache.bytes), (0, 0), "too many");
    }

    #[test]
    fn a_batch_keeps_a_bounded_number_of_bytes() {
        let mut cache = EncodeCache::default();
        let user = UserId::new("ann").expect("a user id");
        let encoded = EncodedUpdate::removal(user, Revision::new(1));
        let length = encoded.json.capacity();
        let kept = |cache: &EncodeCache| cache.updates.len() * length;
        for slot in 0..CACHE_MAX_BYTES / length {
            cache.keep((UserRef::new(0, slot), Viewer::Public), &encoded);
            cache.keep((UserRef::new(0, slot), Viewer::Public), &encoded);
            assert_eq!(cache.bytes, kept(&cache));
        }
        assert!(kept(&cache) <= CACHE_MAX_BYTES && kept(&cache) + length > CACHE_MAX_BYTES);
        cache.keep((UserRef::new(1, 0), Viewer::Public), &encoded);
        assert_eq!((cache.updates.len(), cache.bytes), (1, length), "it begins anew");
    }

    #[test]
    fn an_event_is_shared_with_the_same_cursor_alone() {
        let user = UserId::new("ann").expect("a user id");
        let mut updates = UpdateList::default();
        updates.push(EncodedUpdate::removal(user, Revision::new(1)), None);
        let event = |watermark| {
            let cursor = Cursor {
                incarnation: 7,
                watermark: Revision::new(watermark),
            };
            updates.event(cursor, &Clock::manual(Wall::from_millis(0)))
        };
        let (first, second, third) = (event(1), event(1), event(2));
        assert!(
            matches!((&first, &second), (EncodedFrame::Shared(first), EncodedFrame::Shared(second)) if Rc::ptr_eq(first, second))
        );
        assert_ne!(first.bytes(), third.bytes());
    }
}
