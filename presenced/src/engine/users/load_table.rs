//! Loads that are under way, of one shard: everyone who needs a user that is being read waits for that read. A list waits
//! for the load of a single user, but a single load waits for no list, so there are two loads of one user at most. What is
//! read, and when, is decided elsewhere.

use hashbrown::HashMap;
use presence::UserId;
use tokio::sync::watch;

use crate::connection::user_pin::UserPin;
use crate::store::StoreError;

/// How urgently users are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Lane {
    /// One user, for whom somebody waits.
    Single,
    /// Several users: single ones go before them.
    List,
}

/// What a load came to.
#[derive(Debug, Clone)]
pub(in crate::engine) enum Loaded {
    /// The user is in memory.
    Pinned(UserPin),
    /// The user was in memory meanwhile, changed there and left again: what was read may be older than that.
    Overtaken,
    Failed(StoreError),
}

/// The answers for the users that are read together; none until they were.
pub(in crate::engine) type Answers = Option<Vec<Loaded>>;

/// One user's place among those that are read together.
#[derive(Debug, Clone)]
pub(in crate::engine) struct PendingLoad {
    pub(in crate::engine) answers: watch::Receiver<Answers>,
    pub(in crate::engine) index: usize,
}

impl PendingLoad {
    /// Waits for the answer. The load goes on if the caller does not wait to the end.
    pub(in crate::engine) async fn answer(mut self) -> Loaded {
        let answers = self.answers.wait_for(Option::is_some).await;
        let loaded = answers
            .ok()
            .and_then(|answers| answers.as_ref()?.get(self.index).cloned());
        // The task that reads has ended without an answer: the daemon stops.
        loaded.unwrap_or(Loaded::Failed(StoreError::Closed))
    }
}

/// A load as its shard knows it.
#[derive(Debug)]
struct UnderWay {
    load: PendingLoad,
    /// The user changed in memory since the load began.
    is_overtaken: bool,
}

/// The loads of one user.
#[derive(Debug, Default)]
struct UserLoads {
    single: Option<UnderWay>,
    list: Option<UnderWay>,
}

impl UserLoads {
    const fn of(&mut self, lane: Lane) -> &mut Option<UnderWay> {
        match lane {
            Lane::Single => &mut self.single,
            Lane::List => &mut self.list,
        }
    }
}

/// The loads of a shard's users. Its length is bounded by the calls in progress.
#[derive(Debug, Default)]
pub(super) struct LoadTable(HashMap<UserId, UserLoads>);

impl LoadTable {
    /// The load to wait for; `begin` makes it if there is none.
    pub(super) fn join(&mut self, user: &UserId, lane: Lane, begin: impl FnOnce() -> PendingLoad) -> PendingLoad {
        let loads = self.0.entry_ref(user).or_default();
        if lane == Lane::List
            && let Some(single) = &loads.single
        {
            return single.load.clone();
        }
        let under_way = loads.of(lane).get_or_insert_with(|| UnderWay {
            load: begin(),
            is_overtaken: false,
        });
        under_way.load.clone()
    }

    /// The user changed in memory: what is being read of it may be older.
    pub(super) fn overtake(&mut self, user: &UserId) {
        if self.0.is_empty() {
            return;
        }
        if let Some(loads) = self.0.get_mut(user) {
            for load in [&mut loads.single, &mut loads.list].into_iter().flatten() {
                load.is_overtaken = true;
            }
        }
    }

    /// The load is over. Whether it was overtaken.
    pub(super) fn finish(&mut self, user: &UserId, lane: Lane) -> bool {
        let Some(loads) = self.0.get_mut(user) else {
            return false;
        };
        let finished = loads.of(lane).take();
        if loads.single.is_none() && loads.list.is_none() {
            self.0.remove(user);
        }
        if self.0.is_empty() {
            // A long list must not leave its memory behind.
            self.0 = HashMap::new();
        }
        finished.is_some_and(|load| load.is_overtaken)
    }
}
