//! The new state of a user, made of the stored one and of what this node knows. Nothing is decided here that one node alone
//! does not decide by the same functions: merging is taking the newer, and the record follows from [`Profile`].

use crate::durable_part::Version;
use crate::profile::{Profile, Stored};
use crate::replication::clock::CLOCKS_DIFFER_MAX;
use crate::replication::names::Incarnation;
use crate::replication::settings::{REPORT_LATE, Rule, Settings};
use crate::replication::state::{Command, CommandKind, Share, SharedPart, State};
use crate::revision::Revision;
use crate::session_name::SessionName;
use crate::sessions::{Contribution, SessionId};
use crate::status::{CustomStatus, Status};
use crate::time::{Mono, Wall};

/// What this node knows of a user. Times are on Redis's clock, as the node estimates it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Knowledge {
    /// What the user's sessions on this node add up to. Connections that are not known to be alive after the registration
    /// was ended count as in grace.
    pub contribution: Contribution,
    /// When its grace period ends.
    pub grace_until: Option<Wall>,
    /// How many sessions are in grace.
    pub places: u32,
    /// Those of the sessions here that have or would get a place in the grace period, by name.
    pub sessions: Vec<SessionId>,
    /// The durable part as the store last returned it; none if the store has not answered.
    pub durable: Option<SharedPart>,
    /// The custom status to assume if the store has not answered: what other services read.
    pub assumed: CustomStatus,
    /// Until when a custom status that the user set by a request counts like an active session.
    pub chosen_until: Option<Wall>,
    /// The status that this node shows, and since when. The log may have neither: while Redis can't be reached, a node applies
    /// its own changes alone.
    pub shown: Option<(Status, Wall)>,
    /// When the user was last heard, on whatever way.
    pub last_seen: Option<Wall>,
    /// When the user was last active, on whatever way.
    pub last_active: Option<Wall>,
    /// Whether one of them moved here and the log may not have it yet.
    pub has_unlogged_times: bool,
    /// The revision that the database has.
    pub revision: Revision,
}

impl Knowledge {
    /// Since when this node shows this status; none if it shows another one.
    fn shown_since(&self, status: Status) -> Option<Wall> {
        self.shown.filter(|shown| shown.0 == status).map(|shown| shown.1)
    }

    /// The latest time that this node knows of; one further ahead than clocks differ is of a clock that was wrong.
    fn latest_time(&self, now: Wall) -> Option<Wall> {
        let times = [self.last_seen, self.last_active].into_iter().flatten();
        times.filter(|time| time.since(now) <= CLOCKS_DIFFER_MAX).max()
    }

    /// Whether this node knows of later times than the state has, and they count: since the user was forgotten, if it was, and
    /// from no clock that was wrong.
    pub(super) fn is_later_than(&self, stored: &State, now: Wall) -> bool {
        let forgotten = stored.command.filter(|command| command.kind == CommandKind::Forget);
        let counts =
            |time: &Wall| time.since(now) <= CLOCKS_DIFFER_MAX && forgotten.is_none_or(|command| command.at < *time);
        self.last_seen.filter(counts) > stored.last_seen || self.last_active.filter(counts) > stored.last_active
    }
}

/// What an operator asked this node for, until the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AskedCommand {
    pub(super) command: Command,
    /// The durable part that was known: reports of later versions began after the command.
    pub(super) version: Version,
}

/// The user has as many sessions as one may have: the node must not add one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionLimitReached;

/// Makes new states for one node at one moment.
pub(super) struct Builder<'a> {
    pub(super) own: Incarnation,
    /// Redis's clock, as estimated.
    pub(super) now: Wall,
    pub(super) settings: &'a Settings,
    /// A command of an earlier epoch: it comes before anything in the stored state that does not name it.
    pub(super) lost: Option<Command>,
    /// Places of lost sessions on other nodes that connections of this one have taken.
    pub(super) claims: &'a [SessionName],
    /// Whether an incarnation is over.
    pub(super) is_gone: &'a dyn Fn(Incarnation) -> bool,
    /// Whether an incarnation is not registered and its grace period is over.
    pub(super) is_over: &'a dyn Fn(Incarnation) -> bool,
    /// Whether the sessions of an incarnation count toward the limit: those of one that is gone are in grace, and count toward none.
    pub(super) counts: &'a dyn Fn(Incarnation) -> bool,
}

impl Builder<'_> {
    /// The state that should be stored instead of `stored`. `command` is what an operator asked this node for.
    pub(super) fn build(
        &self,
        stored: Option<&State>,
        knowledge: &Knowledge,
        asked: Option<AskedCommand>,
    ) -> Result<State, SessionLimitReached> {
        let mut state = stored.cloned().unwrap_or_else(|| State {
            since: knowledge.shown_since(Status::Offline),
            ..State::default()
        });
        let now = self.now.max(state.latest_time().unwrap_or(self.now));
        let now = knowledge.latest_time(self.now).map_or(now, |known| now.max(known));
        state.contributions.retain(|share| !(self.is_over)(share.incarnation));
        self.replace_own_share(&mut state, knowledge);
        self.continue_sessions(&mut state);
        self.merge_durable(&mut state, stored, knowledge);
        self.end_reports(&mut state);
        state.chosen_until = state.chosen_until.max(knowledge.chosen_until);
        let times = (knowledge.last_seen, knowledge.last_active);
        let is_kept = |command: &Command| self.now < command.at.after(self.settings.command_kept);
        state.command = state.command.filter(is_kept);
        if let Some(lost) = self.lost.filter(is_kept) {
            remember(&mut state, lost);
        }
        if let Some(asked) = asked.filter(|asked| Some(asked.command) != state.command) {
            obey(&mut state, asked, now, times);
            return Ok(state);
        }
        self.check_limit(&state, stored)?;
        let (status, since) = (state.status, state.since);
        derive_record(&mut state, now, times);
        if state.status != status {
            let shown = knowledge.shown_since(state.status);
            let opened = match status {
                Status::Offline => only_reported_since(&state),
                _ => None,
            };
            let is_later = |at: &Wall| since.is_none_or(|since| since < *at) && *at <= now;
            let begins = [shown, opened].into_iter().flatten();
            state.since = begins.into_iter().find(is_later).or(state.since);
        }
        Ok(state)
    }

    fn replace_own_share(&self, state: &mut State, knowledge: &Knowledge) {
        let shares = &mut state.contributions;
        let at = shares.binary_search_by_key(&self.own, |share| share.incarnation);
        if !knowledge.contribution.is_present() {
            if let Ok(at) = at {
                shares.remove(at);
            }
            return;
        }
        let share = Share {
            incarnation: self.own,
            contribution: Contribution {
                last_seen: None,
                last_active: None,
                ..knowledge.contribution
            },
            grace_until: knowledge.grace_until,
            places: knowledge.places,
            sessions: knowledge.sessions.clone(),
            unknown: Vec::new(),
        };
        match at {
            Ok(at) => shares[at] = share,
            Err(at) => shares.insert(at, share),
        }
    }

    /// Places that are taken are no more: of a node that is there, once it says so; of one that is gone, with the last one.
    fn continue_sessions(&self, state: &mut State) {
        state.continued.extend_from_slice(self.claims);
        state.continued.sort_unstable();
        state.continued.dedup();
        let State {
            contributions,
            continued,
            ..
        } = state;
        contributions.retain(|share| {
            let taken = continued.iter().filter(|of| share.has_place(**of)).count();
            let has_left = usize::try_from(share.all_places()).is_ok_and(|all| taken < all);
            has_left || !(self.is_gone)(share.incarnation)
        });
        continued.retain(|of| contributions.iter().any(|share| share.has_place(*of)));
    }

    fn merge_durable(&self, state: &mut State, stored: Option<&State>, knowledge: &Knowledge) {
        let is_unknown = state.durable.part.version == Version::NONE;
        let Some(known) = &knowledge.durable else {
            // Made without the store's answer, unless somebody else had it.
            if is_unknown && stored.is_none_or(|stored| !stored.is_present()) {
                state.degraded = true;
                state.durable.part.preference.custom = knowledge.assumed;
            }
            return;
        };
        state.degraded = false;
        let is_newer = known.part.version > state.durable.part.version || is_unknown;
        if is_newer || !self.settings.has(Rule::VersionsOrder) {
            state.durable = known.clone();
        }
    }

    fn end_reports(&self, state: &mut State) {
        let is_over = |end: &Option<Wall>| end.is_some_and(|end| end.after(REPORT_LATE) <= self.now);
        if state.durable.ends.iter().any(is_over) {
            state.durable.retain_reports(|_, end| !is_over(end));
        }
    }

    /// Only a node that adds a connection is refused: what is there stays, also with a lower limit than before.
    fn check_limit(&self, state: &State, stored: Option<&State>) -> Result<(), SessionLimitReached> {
        let connections = |state: &State| {
            let share = state.share_of(self.own);
            share.map_or(0, |share| share.contribution.connections)
        };
        let adds = connections(state) > stored.map_or(0, connections);
        let is_counted = |share: &&Share| share.incarnation == self.own || (self.counts)(share.incarnation);
        let counted = state.contributions.iter().filter(is_counted);
        let all = counted.fold(0_u32, |all, share| all.saturating_add(share.contribution.connections));
        let is_above = all as usize > self.settings.sessions_max;
        if adds && is_above && self.settings.has(Rule::SessionLimit) {
            return Err(SessionLimitReached);
        }
        Ok(())
    }
}

/// Since when a user whom only reports make present is: their nodes may offer them late, and any node in place of them.
fn only_reported_since(state: &State) -> Option<Wall> {
    let reports = state.durable.part.reports.iter().map(|report| report.since);
    reports.min().filter(|_| state.contributions.is_empty())
}

/// Whether the second must be offered in place of the first. Times alone go with the ticks.
pub(super) fn differs(stored: &State, built: &State) -> bool {
    let without_times = |state: &State| State {
        since: None,
        last_seen: None,
        last_active: None,
        changed: None,
        ..state.clone()
    };
    without_times(stored) != without_times(built)
}

/// The state names a command that it had been made without. Nodes that did not read it end their sessions when they do.
fn remember(state: &mut State, lost: Command) {
    if state.command.is_some_and(|command| command.at >= lost.at) {
        return;
    }
    state.command = Some(lost);
    if lost.kind == CommandKind::Forget {
        state.last_seen = None;
        state.last_active = None;
    }
}

/// No session and no report is left; of a forgotten user nothing but the version, below which nothing counts.
fn obey(state: &mut State, asked: AskedCommand, now: Wall, times: (Option<Wall>, Option<Wall>)) {
    let AskedCommand { command, version } = asked;
    state.contributions.clear();
    state.continued.clear();
    state.durable.retain_reports(|report, _| report.version > version);
    let at = state.command.map_or(command.at, |before| before.at.max(command.at));
    let command = Command { at, ..command };
    if command.kind == CommandKind::Forget {
        let version = state.durable.part.version;
        let unknown = std::mem::take(&mut state.unknown);
        *state = State {
            unknown,
            ..State::default()
        };
        state.durable.part.version = version;
    } else {
        derive_record(state, now, times);
    }
    state.command = Some(command);
}

fn derive_record(state: &mut State, now: Wall, times: (Option<Wall>, Option<Wall>)) {
    let mut profile = Profile::restore(
        Stored {
            durable: state.durable.part.clone(),
            status: state.status,
            since: state.since,
            last_seen: state.last_seen,
            last_active: state.last_active,
            revision: Revision::NEVER,
        },
        now,
    );
    let is_chosen = state.chosen_until.is_some_and(|until| until > now);
    profile.set_chosen_until(is_chosen.then(Mono::default));
    let clamp = |time: Option<Wall>| time.map(|time| time.min(now));
    let heard = Contribution {
        last_seen: clamp(times.0),
        last_active: clamp(times.1),
        ..Contribution::default()
    };
    // Who reported the user may have died before it told when.
    let reported = profile.reports().iter().map(|report| Contribution {
        last_seen: Some(report.heard),
        last_active: report.last_active,
        ..Contribution::default()
    });
    let shares = state.contributions.iter().map(|share| share.contribution);
    let contributions: Vec<Contribution> = shares.chain(reported).chain([heard]).collect();
    profile.apply_rule(now, &contributions);
    state.status = profile.decision().status;
    // Of who was never shown as present: since the session that nobody else heard of.
    state.since = profile.since().or(profile.last_seen());
    state.last_seen = profile.last_seen();
    state.last_active = profile.last_active();
    if profile.chosen_until().is_none() {
        state.chosen_until = None;
    }
    state.degraded &= state.is_present();
}
