//! What other services read in Redis: who is present, and custom statuses. Offers keep both as they should be; here a node finds
//! that somebody has deleted or changed them, or that the epoch is new, and lists them anew, a call at a time and after all
//! offers. Several nodes may list who is present at once; custom statuses are listed by one, into a new list that takes the place
//! of the old one when it is complete, because of absent users the database alone knows them.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::replication::call::{CALL_USERS_MAX, Call, ListOutcome, ListedCustom, Listing};
use crate::replication::effect::Effect;
use crate::replication::partition::{Input, Life, Partition};
use crate::replication::settings::{Rule, SPREAD};
use crate::revision::Revision;
use crate::status::CustomStatus;
use crate::time::Mono;
use crate::user_id::UserId;

/// How long after a node has listed who is present it does so again at the earliest, if somebody still changes the list; and how
/// long after it found no room for a new list of custom statuses.
const LISTED_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How far a node is with listing. One of the two at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    /// The users of the copy after this one, in turn.
    Present(Option<UserId>),
    /// Those who have no state, from this place on.
    Strangers(u64),
    /// A new list of custom statuses is to begin.
    Begin,
    /// It has begun, at this head: the custom statuses of the copy after this user.
    Copied(Revision, Option<UserId>),
    /// Those of the database.
    Stored(FromDatabase),
    /// All are listed.
    Complete,
}

/// Custom statuses of the database that are to be listed, for users who are in no state.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FromDatabase {
    users: VecDeque<(UserId, CustomStatus)>,
    /// Of the call under way, to be listed again if the log was not read far enough.
    called: Vec<(UserId, CustomStatus)>,
    /// Up to where the log had been read with that call.
    read_to: Revision,
    /// That was not far enough.
    is_behind: bool,
    /// Where the database is to be read from, unless it is being read, or was to its end.
    next: Next,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    From(Option<UserId>),
    Asked,
    End,
}

/// A page of the users of a partition who have another custom status than ONLINE, as the database has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenPage {
    /// As [`Effect::LoadChosen`] named it.
    pub pass: u64,
    /// The users, each with its custom status.
    pub users: Vec<(UserId, CustomStatus)>,
    /// The user to go on after; none if this is the last page.
    pub next: Option<UserId>,
}

/// What this node knows of what other services read.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    /// How many were listed as present after a tick of this node, by its number, as the answer said.
    counted: Option<(u64, u64)>,
    /// How many are present in the copy with that tick.
    copied: Option<(u64, u64)>,
    /// From when on this node lists anew who is present, and all custom statuses.
    present_at: Option<Mono>,
    custom_at: Option<Mono>,
    listed_present_at: Option<Mono>,
    work: Option<Work>,
    /// Counts the lists that this node began.
    pass: u64,
    /// Users who were changed or dropped since the list began: what was read of them may be older.
    changed: BTreeSet<UserId>,
    /// The copy is to be searched further.
    goes_on: bool,
}

impl Lists {
    /// The connection is gone, or the copy is read anew.
    pub(super) fn abort(&mut self) {
        self.work = None;
        self.changed.clear();
        self.goes_on = false;
    }

    /// Whether this node still makes the list of that pass.
    pub(super) fn is_under_way(&self, pass: u64) -> bool {
        pass == self.pass && matches!(self.work, Some(Work::Stored(_)))
    }

    /// The log has something of the user.
    pub(super) fn note_changed(&mut self, user: &UserId) {
        if matches!(self.work, Some(Work::Copied(..) | Work::Stored(_))) {
            self.changed.insert(user.clone());
        }
    }
}

impl Partition {
    /// Whether a step may be called: the copy is as the state is, and this node stays.
    pub(super) fn may_list(&self) -> bool {
        if !self.settings.has(Rule::ListAnew) {
            return false;
        }
        let is_synced = self.follower.is_synced && self.follower.epoch == self.publisher.registered;
        is_synced && self.reach.is_current() && self.life == Life::Running
    }

    /// When this node begins to list, or goes on.
    pub(super) fn listing_due_at(&self) -> Option<Mono> {
        let lists = &self.lists;
        let first = match lists.work {
            Some(_) => lists.goes_on.then(Mono::default),
            None => [lists.present_at, lists.custom_at].into_iter().flatten().min(),
        };
        let is_free = self.publisher.under_way.is_none() && self.publisher.retry_at.is_none();
        first.filter(|_| is_free && self.may_list())
    }

    /// A tick of this node was answered.
    pub(super) fn handle_lists(&mut self, input: Input<'_>, present: u64, custom: ListedCustom) {
        self.lists.counted = Some((self.reach.last_tick(), present));
        self.compare_present(input.reading.mono);
        let is_wanted = match custom {
            ListedCustom::Complete => false,
            ListedCustom::Incomplete => true,
            // A list that this node does not make any more.
            ListedCustom::UnderWay(by) => by == self.own && self.lists.work.is_none(),
        };
        let at = self.jitter.within(input.reading.mono, SPREAD);
        self.lists.custom_at = is_wanted.then(|| self.lists.custom_at.unwrap_or(at));
    }

    /// A tick of this node has come through the log: the copy is as the state was at this tick.
    pub(super) fn note_lists(&mut self, number: u64, now: Mono) {
        self.lists.copied = Some((number, self.replica.present()));
        self.compare_present(now);
    }

    fn compare_present(&mut self, now: Mono) {
        let (Some((counted_at, counted)), Some((copied_at, copied))) = (self.lists.counted, self.lists.copied) else {
            return;
        };
        if counted_at != copied_at {
            return;
        }
        let is_listing = matches!(self.lists.work, Some(Work::Present(_) | Work::Strangers(_)));
        let is_wanted = !is_listing && (counted < copied || counted > copied && self.knows_all());
        let again = self
            .lists
            .listed_present_at
            .map_or(now, |at| at.after(LISTED_AGAIN_AFTER));
        let at = self.jitter.within(now, SPREAD).max(again);
        self.lists.present_at = is_wanted.then(|| self.lists.present_at.unwrap_or(at));
    }

    /// Whether nobody is to be offered yet because the epoch is new: who has no state is not present.
    fn knows_all(&self) -> bool {
        self.timers.offer_kept_at.is_none() && !self.replica.has_kept()
    }

    /// A page of the users who have another custom status than ONLINE, as [`Effect::LoadChosen`] asked.
    pub fn handle_chosen(&mut self, input: Input<'_>, page: ChosenPage) {
        if self.lists.is_under_way(page.pass)
            && let Some(Work::Stored(stored)) = &mut self.lists.work
        {
            stored.users.extend(page.users);
            stored.next = page.next.map_or(Next::End, |user| Next::From(Some(user)));
        }
        self.advance(input);
    }

    /// The step that was called is done, or is not.
    pub(super) fn handle_listed(&mut self, input: Input<'_>, outcome: ListOutcome) {
        let now = input.reading.mono;
        let next = match (self.lists.work.take(), outcome) {
            (Some(Work::Strangers(_)), ListOutcome::GoesOn(place)) => Some(Work::Strangers(place)),
            (Some(Work::Strangers(_)), ListOutcome::Done) => {
                self.lists.listed_present_at = Some(now);
                None
            }
            (Some(Work::Begin), ListOutcome::Begun(head)) => {
                self.lists.changed.clear();
                self.lists.pass += 1;
                Some(Work::Copied(head, None))
            }
            (Some(Work::Stored(stored)), ListOutcome::Behind) => Some(Work::Stored(stored.again_later())),
            (Some(work @ (Work::Present(_) | Work::Copied(..) | Work::Stored(_))), ListOutcome::Done) => Some(work),
            (Some(Work::Begin | Work::Copied(..) | Work::Stored(_)), ListOutcome::Full) => {
                let at = self.jitter.within(now.after(LISTED_AGAIN_AFTER), SPREAD);
                self.lists.custom_at = Some(at);
                None
            }
            // Complete, or another node lists.
            _ => None,
        };
        if next.is_none() {
            self.lists.changed.clear();
        }
        self.lists.work = next;
    }

    /// The next step, if there is something to list.
    pub(super) fn next_listing(&mut self, input: Input<'_>) -> Option<Call> {
        let now = input.reading.mono;
        self.lists.goes_on = false;
        if self.lists.work.is_none() && self.lists.present_at.is_some_and(|at| at <= now) {
            self.lists.present_at = None;
            self.lists.work = Some(Work::Present(None));
        } else if self.lists.work.is_none() && self.lists.custom_at.is_some_and(|at| at <= now) {
            self.lists.custom_at = None;
            self.lists.work = Some(Work::Begin);
        }
        let listing = match self.lists.work.take()? {
            Work::Present(after) => self.list_present(now, after),
            Work::Strangers(place) => self.go_on_with(Work::Strangers(place), Listing::Strangers { place }),
            Work::Begin => self.go_on_with(Work::Begin, Listing::Begin),
            Work::Copied(head, after) => self.list_copied(head, after),
            Work::Stored(stored) => self.list_stored(stored),
            Work::Complete => self.go_on_with(Work::Complete, Listing::Complete),
        }?;
        let caller = self.caller();
        Some(Call::List { caller, listing })
    }

    fn go_on_with(&mut self, work: Work, listing: Listing) -> Option<Listing> {
        self.lists.work = Some(work);
        Some(listing)
    }

    fn list_present(&mut self, now: Mono, after: Option<UserId>) -> Option<Listing> {
        let copied = self.replica.users_after(after.as_ref()).take(CALL_USERS_MAX);
        let copied: Vec<_> = copied
            .map(|(user, held)| (user.clone(), held.revision, held.is_present, held.is_kept))
            .collect();
        let Some((last, ..)) = copied.last() else {
            if self.knows_all() {
                return self.go_on_with(Work::Strangers(0), Listing::Strangers { place: 0 });
            }
            self.lists.listed_present_at = Some(now);
            return None;
        };
        self.lists.work = Some(Work::Present(Some(last.clone())));
        let stored = copied.into_iter().filter(|(.., is_kept)| !is_kept);
        let users = stored.map(|(user, revision, is_present, _)| (user, revision, is_present));
        Some(Listing::Present(users.collect()))
    }

    /// Of users in the state, from the copy, once all is read that was offered before the new list began.
    fn list_copied(&mut self, head: Revision, after: Option<UserId>) -> Option<Listing> {
        if self.follower.last < head {
            self.lists.work = Some(Work::Copied(head, after));
            return None;
        }
        let copied = self.replica.users_after(after.as_ref()).take(self.scan_users_max);
        let mut last = None;
        let mut users = Vec::new();
        for (user, held) in copied {
            last = Some(user.clone());
            let custom = held.state().durable.part.preference.custom;
            if custom != CustomStatus::Online && !held.is_kept {
                users.push((user.clone(), Some(held.revision), custom));
            }
            if users.len() == CALL_USERS_MAX {
                break;
            }
        }
        let is_end = last.is_none();
        self.lists.work = Some(match last {
            Some(last) => Work::Copied(head, Some(last)),
            None => Work::Stored(FromDatabase::from_the_first()),
        });
        self.lists.goes_on = users.is_empty();
        let read_to = self.follower.last;
        (!users.is_empty() && !is_end).then_some(Listing::Custom { read_to, users })
    }

    /// Of users who are in no state, from the database.
    fn list_stored(&mut self, mut stored: FromDatabase) -> Option<Listing> {
        let read_to = self.follower.last;
        stored.called.clear();
        if stored.users.len() < CALL_USERS_MAX
            && let Next::From(after) = &stored.next
        {
            let (pass, after) = (self.lists.pass, after.clone());
            self.push(Effect::LoadChosen { pass, after });
            stored.next = Next::Asked;
        }
        if stored.is_behind && read_to <= stored.read_to {
            self.lists.work = Some(Work::Stored(stored));
            return None;
        }
        stored.is_behind = false;
        stored.read_to = read_to;
        while stored.called.len() < CALL_USERS_MAX
            && let Some((user, custom)) = stored.users.pop_front()
        {
            if !self.lists.changed.contains(&user) || !self.settings.has(Rule::ListUnchanged) {
                stored.called.push((user, custom));
            }
        }
        if stored.called.is_empty() && stored.next == Next::End {
            return self.go_on_with(Work::Complete, Listing::Complete);
        }
        let users: Vec<_> = stored
            .called
            .iter()
            .map(|(user, custom)| (user.clone(), None, *custom))
            .collect();
        self.lists.work = Some(Work::Stored(stored));
        (!users.is_empty()).then_some(Listing::Custom { read_to, users })
    }
}

impl FromDatabase {
    const fn from_the_first() -> Self {
        Self {
            users: VecDeque::new(),
            called: Vec::new(),
            read_to: Revision::NEVER,
            is_behind: false,
            next: Next::From(None),
        }
    }

    /// What was called last is called again when more of the log was read.
    fn again_later(mut self) -> Self {
        self.is_behind = true;
        for user in self.called.drain(..).rev() {
            self.users.push_front(user);
        }
        self
    }
}

#[cfg(test)]
mod tests;
