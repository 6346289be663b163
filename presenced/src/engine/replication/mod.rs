//! A node among others: what happens to its users goes to the log of their partition, and takes effect here when it comes
//! back, like what other nodes offer. A task per partition stands between the two.

mod chosen;
mod database;
mod offering;
mod showing;
mod staleness;
mod stored_reads;
#[cfg(test)]
mod tests;
mod waiting;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use presence::replication::{Effect, Input};
use presence::{Revision, UserId};
use tokio::task::yield_now;

pub(super) use self::chosen::ChosenRequests;
pub(super) use self::database::PresentRequests;
pub(crate) use self::showing::SessionAnswers;
use self::showing::Showing;
pub(super) use self::staleness::Staleness;
pub(super) use self::stored_reads::StoredReads;
pub(crate) use self::waiting::NameTaken;
pub(super) use self::waiting::Waiting;
pub(super) use self::writing::Unwritten;
use super::Engine;
use crate::cluster::Shared;
use crate::vital::{self, VitalTask};

/// How many effects of a partition are carried out until others have a turn: some 10 to 40 us each, so about a millisecond that a
/// request waits for.
const EFFECTS_AT_ONCE: usize = 32;

/// What a partition asks that the database must answer. It goes on beside the partition.
enum DatabaseWork {
    LoadTimes(Vec<UserId>),
    LoadPresent,
    LoadChosen {
        pass: u64,
        after: Option<UserId>,
    },
    /// The user was forgotten an hour ago.
    DeleteAgain(UserId),
}

/// What a node among others does all the time.
enum Loop {
    /// Takes part in this partition.
    Replicate(u16),
    /// Writes records behind.
    Write,
    /// Reads the users whom the log asks for.
    Read,
    TellStaleness,
    /// Offers what has been marked as unpublished.
    Sweep,
    /// Tells the others how many connections it has.
    TellLoad,
}

impl Engine {
    /// Everything up to this revision was marked in the outboxes of its audience; 0 if that is not known, as while the cluster
    /// can't be reached.
    pub(super) fn complete_to(&self) -> u64 {
        match self.cluster.shared() {
            None => self.publisher.complete_to(),
            Some(shared) if shared.is_stale() => 0,
            Some(shared) => shared.told_to(),
        }
    }

    /// Of how many partitions records may be stale.
    pub(crate) fn stale_partitions(&self) -> u64 {
        self.cluster.shared().map_or(0, Shared::stale_partitions)
    }

    /// Starts to take part in all partitions.
    pub(super) fn join(self: &Arc<Self>, shared: &Shared) -> Vec<VitalTask> {
        let partitions = (0..shared.partitions()).map(Loop::Replicate);
        let others = [
            Loop::Write,
            Loop::Read,
            Loop::TellStaleness,
            Loop::Sweep,
            Loop::TellLoad,
        ];
        let start = |one: Loop| {
            let engine = Arc::clone(self);
            vital::start_task(async move { engine.take_part(one).await })
        };
        partitions.chain(others).map(start).collect()
    }

    async fn take_part(self: Arc<Self>, one: Loop) {
        let Some(shared) = self.cluster.shared() else { return };
        match one {
            Loop::Replicate(number) => self.replicate(shared, number).await,
            Loop::Write => self.run_replicated_writes(shared).await,
            Loop::Read => self.run_stored_reads(shared).await,
            Loop::TellStaleness => self.run_staleness(shared).await,
            Loop::Sweep => self.run_sweep(shared).await,
            Loop::TellLoad => self.run_load(shared).await,
        }
    }

    /// Waits until this node has all partitions.
    ///
    /// # Errors
    /// A living node has this one's name.
    pub(super) async fn until_joined(&self, shared: &Shared) -> Result<(), NameTaken> {
        tokio::select! {
            () = self.waiting.until_ready(shared.partitions()) => {}
            taken = self.waiting.until_name_is_taken() => return Err(taken),
        }
        self.publisher.begin_after(Revision::new(shared.told_to()));
        self.staleness.begin();
        Ok(())
    }

    /// Ends this node's registrations, so that its sessions are in grace from now on.
    pub(super) async fn leave(&self, shared: &Shared) {
        for number in 0..shared.partitions() {
            shared
                .partition(number)
                .tell(|machine, input| machine.handle_stop(input));
        }
        self.waiting.until_stopped(shared.partitions()).await;
        self.write_replicated(shared).await;
    }

    /// The process did not run for so long: what it knows of the others is of then.
    pub(super) fn note_stall(&self, length: Duration) {
        let Some(shared) = self.cluster.shared() else { return };
        for number in 0..shared.partitions() {
            shared.partition(number).note_stall(length);
        }
    }

    /// Gives a partition what it asks for while it handles something. Must not be called under the lock of a user.
    fn with_input<T>(&self, handle: impl FnOnce(Input<'_>) -> T) -> T {
        let own = |user: &UserId| {
            let entry = self.users.find(user)?;
            Some(entry.state.knowledge(self.now_of(&entry)))
        };
        handle(Input {
            reading: self.clock.read(),
            own: &own,
        })
    }

    /// Takes part in one partition until the daemon ends.
    async fn replicate(self: &Arc<Self>, shared: &Shared, number: u16) {
        let partition = shared.partition(number);
        let mut runner = shared.runner(number);
        let mut heard_waiter = 0;
        loop {
            let until = partition.machine().next_deadline();
            let event = runner.next(self.clock.mono(), until).await;
            let last_waiter = partition.last_waiter();
            let (effects, position, is_withholding) = self.with_input(|input| {
                let mut machine = partition.machine();
                let (effects, is_all) = runner.handle(&mut machine, input, event);
                if is_all {
                    heard_waiter = last_waiter;
                }
                if number == 0 {
                    self.clock.follow(machine.time(input.reading), input.reading);
                }
                partition.note_nodes(&machine, shared);
                let is_withholding = partition.begin_withholding(&machine);
                (effects, machine.position(), is_withholding)
            });
            for (done, effect) in (1..).zip(effects) {
                match effect {
                    Effect::EndAllSessions => self.end_all_sessions(number).await,
                    Effect::RegistrationEnded(grace) => self.doubt_all(number, grace).await,
                    effect => self.carry_out(shared, number, effect),
                }
                if done % EFFECTS_AT_ONCE == 0 {
                    yield_now().await;
                }
            }
            partition.note_withholding(is_withholding);
            partition.close_idle_lookup(self.clock.mono());
            if let Some((epoch, applied)) = position {
                partition.note_read(applied.get());
                if !self.stored_reads.has_left(number) {
                    partition.note_told(applied.get());
                }
                shared.note_epoch(number, epoch);
                if let Some(cursor) = shared.cursor() {
                    self.publisher.share(cursor.incarnation);
                }
                self.publisher.pass(Revision::new(shared.told_to()));
            }
            partition.wake(heard_waiter);
            // The next event may be there already: whoever waits for this thread comes first.
            yield_now().await;
        }
    }

    /// What is done at once is done here, in order. What asks the database goes on beside it, and is told to the partition
    /// when it is there.
    fn carry_out(self: &Arc<Self>, shared: &Shared, number: u16, effect: Effect) {
        match effect {
            // The runner has them, and the loop those that concern all sessions.
            Effect::Call { .. } | Effect::Ask { .. } | Effect::EndAllSessions | Effect::RegistrationEnded(_) => {}
            Effect::Show {
                user,
                revision,
                state,
                was_removed,
                ..
            } if state.is_removed() => self.show_removal(&user, state.changed.unwrap_or(revision), was_removed),
            Effect::Show {
                user,
                revision,
                state,
                is_stale,
                is_seen,
                ..
            } => {
                let shown = Showing {
                    revision,
                    is_seen,
                    is_logged: !is_stale,
                };
                self.show(shared, &user, shown, &state);
            }
            Effect::Times(times) => self.show_times(&times),
            Effect::Write(user) => self.unwritten.push(user),
            Effect::EndSessions { user, kind, count } => self.end_sessions(shared, &user, kind, count),
            Effect::Continued(user, sessions) => self.give_up_places(&user, &sessions),
            Effect::Claimed { user, of, is_won } => self.waiting.claim_is_decided(&user, of, is_won),
            Effect::CommandFailed(user) => self.waiting.command_failed(&user),
            Effect::DemandAnswers(user) => self.demand_answers_of(&user),
            Effect::Refuse(user) => self.refuse_newest(&user),
            Effect::ReportEnded(user, source, version) => self.persistence.end_report_of(user, source, version),
            Effect::Ready => {
                self.set_stale(shared, number, false);
                self.waiting.partition_is_ready(number);
            }
            Effect::Stale(is_stale) => self.set_stale(shared, number, is_stale),
            Effect::AdditionsRefused(are_refused) => self.set_additions_refused(shared, number, are_refused),
            Effect::Stopped => self.waiting.partition_is_stopped(number),
            Effect::Unreadable(format) => {
                tracing::error!(format, "a newer version wrote a state that this one can't read");
            }
            Effect::Drain(is_wanted) => drop(self.set_draining(is_wanted)),
            Effect::DrainObeyed(order) => self.waiting.drain_is_obeyed(order),
            Effect::Published(user, version) => self.unwritten.publish(user, version),
            Effect::NameTaken(holder) => self.waiting.name_is_taken(shared.name_of(holder).as_str(), holder),
            Effect::Left(user) => self.stored_reads.ask_for_record(number, user),
            Effect::Load(user) => self.stored_reads.ask_for_parts([user]),
            Effect::OfferAll => self.offer_all(shared, number),
            Effect::LoadTimes(users) => self.ask_database(number, DatabaseWork::LoadTimes(users)),
            Effect::LoadPresent => self.ask_database(number, DatabaseWork::LoadPresent),
            Effect::LoadChosen { pass, after } => self.ask_database(number, DatabaseWork::LoadChosen { pass, after }),
            Effect::Delete(user) => self.ask_database(number, DatabaseWork::DeleteAgain(user)),
        }
    }

    fn ask_database(self: &Arc<Self>, number: u16, work: DatabaseWork) {
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let Some(shared) = engine.cluster.shared() else { return };
            match work {
                DatabaseWork::LoadTimes(users) => engine.load_times(shared, number, &users).await,
                DatabaseWork::LoadPresent => engine.load_present(shared, number).await,
                DatabaseWork::LoadChosen { pass, after } => engine.load_chosen(shared, number, pass, after).await,
                DatabaseWork::DeleteAgain(user) => engine.delete_again(shared, &user).await,
            }
        });
    }
}
