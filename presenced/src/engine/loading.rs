//! Loads of users that are not in memory. One load of a user is shared by everyone who needs the user; it runs in a task of
//! its own, so that it goes on for the others if one of them leaves. The rows become entries before the waiting callers are
//! told, under the lock of the shard, so a row that a change overtook is never taken. Single users that are asked for at the same
//! time are read together, long lists in parts.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use presence::{CustomStatus, UserId};
use tokio::sync::watch;

use super::Engine;
use super::publisher::Publication;
use super::users::{Answers, Lane, Loaded, PendingLoad};
use crate::connection::user_pin::UserPin;
use crate::store::{LoadedRow, StoreError};

/// Users of a list that are read together: some 5 ms of reading, after which another list has its turn.
const READ_TOGETHER_MAX: usize = 512;
/// Single users that are read together: some 0.5 ms of reading, which each of their callers waits for.
const SINGLES_TOGETHER_MAX: usize = 64;

impl Engine {
    /// The users in memory, loaded if they are not, in the order asked for.
    pub(super) async fn load(self: &Arc<Self>, users: &[UserId]) -> Result<Vec<UserPin>, StoreError> {
        let mut found: Vec<Option<UserPin>> = vec![None; users.len()];
        loop {
            let waiting = self.begin_list(users, &mut found);
            if waiting.is_empty() {
                return Ok(found.into_iter().flatten().collect());
            }
            for (index, load) in waiting {
                found[index] = pinned(load.answer().await)?;
            }
        }
    }

    /// One user in memory, loaded if it is not.
    pub(super) async fn load_one(self: &Arc<Self>, user: &UserId) -> Result<UserPin, StoreError> {
        loop {
            let mut opened = false;
            let begin = || {
                let (load, is_first) = self.gathered_loads.add(user);
                opened = is_first;
                load
            };
            let load = match self.users.pin_or_join(user, Lane::Single, begin) {
                Ok(pin) => return Ok(pin),
                Err(load) => load,
            };
            if opened {
                tokio::spawn(Arc::clone(self).read_gathered());
            }
            if let Some(pin) = pinned(load.answer().await)? {
                return Ok(pin);
            }
        }
    }

    /// Reads the single users that were asked for first, with those that are asked for by the tasks that are ready to run: for
    /// the database and the threads that read it, many are little more than one.
    async fn read_gathered(self: Arc<Self>) {
        tokio::task::yield_now().await;
        if let Some(wanted) = self.gathered_loads.take() {
            LoadRun::of(&self, Lane::Single, wanted).read().await;
        }
    }

    /// Pins those that are in memory, and begins to load those that nobody is loading yet. The loads to wait for, each with
    /// the index of its user.
    fn begin_list(self: &Arc<Self>, users: &[UserId], found: &mut [Option<UserPin>]) -> Vec<(usize, PendingLoad)> {
        let mut runs: Vec<LoadRun> = Vec::new();
        let mut waiting = Vec::new();
        for (index, (user, found)) in users.iter().zip(found).enumerate() {
            if found.is_some() {
                continue;
            }
            let begin = || {
                if runs.last().is_none_or(LoadRun::is_full) {
                    runs.push(LoadRun::new(self, Lane::List));
                }
                let last = runs.len() - 1;
                runs[last].add(user)
            };
            match self.users.pin_or_join(user, Lane::List, begin) {
                Ok(pin) => *found = Some(pin),
                Err(load) => waiting.push((index, load)),
            }
        }
        if !runs.is_empty() {
            tokio::spawn(async move {
                for run in runs {
                    run.read().await;
                }
            });
        }
        waiting
    }
}

/// The pin; none if the user must be loaded again.
fn pinned(loaded: Loaded) -> Result<Option<UserPin>, StoreError> {
    match loaded {
        Loaded::Pinned(pin) => Ok(Some(pin)),
        Loaded::Overtaken => Ok(None),
        Loaded::Failed(error) => Err(error),
    }
}

/// Users that are to be read together, and where the answers go.
struct Wanted {
    users: Vec<UserId>,
    answers: watch::Sender<Answers>,
}

impl Wanted {
    fn new() -> Self {
        Self {
            users: Vec::new(),
            answers: watch::Sender::new(None),
        }
    }

    fn add(&mut self, user: &UserId) -> PendingLoad {
        self.users.push(user.clone());
        PendingLoad {
            answers: self.answers.subscribe(),
            index: self.users.len() - 1,
        }
    }
}

/// Single users that wait for their read to begin, a task for each part.
#[derive(Default)]
pub(super) struct GatheredLoads(Mutex<VecDeque<Wanted>>);

impl GatheredLoads {
    /// The load, and whether it is the first of its part: then the caller starts the task that reads it.
    fn add(&self, user: &UserId) -> (PendingLoad, bool) {
        let mut parts = self.0.lock();
        let has_room = |last: &&mut Wanted| last.users.len() < SINGLES_TOGETHER_MAX;
        if let Some(last) = parts.back_mut().filter(has_room) {
            return (last.add(user), false);
        }
        let mut opened = Wanted::new();
        let load = opened.add(user);
        parts.push_back(opened);
        (load, true)
    }

    fn take(&self) -> Option<Wanted> {
        self.0.lock().pop_front()
    }
}

/// A read under way. When it is dropped, whatever happened, nobody waits for it any more.
struct LoadRun {
    engine: Arc<Engine>,
    lane: Lane,
    wanted: Wanted,
    /// How many of them are finished.
    finished: usize,
}

impl LoadRun {
    fn new(engine: &Arc<Engine>, lane: Lane) -> Self {
        Self::of(engine, lane, Wanted::new())
    }

    fn of(engine: &Arc<Engine>, lane: Lane, wanted: Wanted) -> Self {
        Self {
            engine: Arc::clone(engine),
            lane,
            wanted,
            finished: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.wanted.users.len() >= READ_TOGETHER_MAX
    }

    fn add(&mut self, user: &UserId) -> PendingLoad {
        self.wanted.add(user)
    }

    async fn read(mut self) {
        let (store, users) = (&self.engine.persistence.store, &*self.wanted.users);
        let rows = match self.lane {
            Lane::Single => store.load_singles(users).await,
            Lane::List => store.load_many(users).await,
        };
        let rows = rows.unwrap_or_else(|error| vec![Err(error); users.len()]);
        let loaded = rows.into_iter().map(|row| self.finish_next(row)).collect();
        self.wanted.answers.send_replace(Some(loaded));
    }

    fn finish_next(&mut self, row: LoadedRow) -> Loaded {
        let (engine, user) = (&self.engine, &self.wanted.users[self.finished]);
        self.finished += 1;
        let shown = engine.shown(user);
        let row = match row {
            Ok(row) => row,
            // A row that can't be understood keeps nobody from the others of a list, and the user can be forgotten.
            Err(StoreError::Refused { .. }) => {
                engine.users.abandon_load(user, self.lane);
                return Loaded::Pinned(engine.insert_fallback(user, CustomStatus::Online));
            }
            // The log has it all, as other nodes show it.
            Err(_) if shown.is_some() => None,
            Err(error) => {
                engine.users.abandon_load(user, self.lane);
                return Loaded::Failed(error);
            }
        };
        let make = || (engine.shown_state(user, row, shown), Publication::default());
        let Some(mut entry) = engine.users.finish_load(user, self.lane, make) else {
            return Loaded::Overtaken;
        };
        engine.tell_read(&mut entry);
        engine.write_back_clamped(&mut entry);
        Loaded::Pinned(entry.pin())
    }
}

impl Drop for LoadRun {
    fn drop(&mut self) {
        for user in self.wanted.users.iter().skip(self.finished) {
            self.engine.users.abandon_load(user, self.lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use presence::wire::record::Viewer;

    use super::*;
    use crate::engine::tests::stepped_engine::Stepped;

    #[tokio::test]
    async fn loads_that_were_given_up_are_begun_again_by_the_next_caller() {
        let stepped = Stepped::new().await;
        let ann = UserId::new("ann").expect("a user id");
        for lane in [Lane::Single, Lane::List] {
            let mut run = LoadRun::new(&stepped.engine, lane);
            let waiting = stepped.engine.users.pin_or_join(&ann, lane, || run.add(&ann));
            drop(run);
            let answer = waiting.expect_err("not in memory").answer().await;
            assert!(matches!(answer, Loaded::Failed(StoreError::Closed)), "{answer:?}");
            let record = stepped
                .engine
                .records(std::slice::from_ref(&ann), Viewer::Internal, None);
            let answer = tokio::time::timeout(std::time::Duration::from_secs(20), record).await;
            assert_eq!(answer.expect("in time").expect("a record").len(), 1);
            stepped.engine.users.sweep();
        }
    }
}
