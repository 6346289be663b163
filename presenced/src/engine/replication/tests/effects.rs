//! What partitions ask of the daemon, one by one: what watchers are told, and at which revision.

use std::time::Duration;

use presence::replication::{Command, CommandKind, Effect, Incarnation, MovedTimes, Share, SharedPart, State};
use presence::{
    Activity, Contribution, CustomStatus, DurablePart, EndReason, Freshness, Report, Revision, SessionId, Source,
    Status, Version, Wall,
};

use super::{SharedNode, micros, next_look, user};
use crate::engine::replication::showing::contributions_of_others;
use crate::engine::tests::fixture::DEADLINE;

fn online(since: Wall) -> State {
    State {
        status: Status::Online,
        since: Some(since),
        last_seen: Some(since),
        ..State::default()
    }
}

/// What an incarnation contributes: so many connections.
fn share(incarnation: u64, connections: u32) -> Share {
    Share {
        incarnation: Incarnation(incarnation),
        contribution: Contribution {
            connections,
            ..Contribution::default()
        },
        grace_until: None,
        places: 0,
        sessions: Vec::new(),
        unknown: Vec::new(),
    }
}

impl SharedNode {
    pub(super) fn show(&self, name: &str, revision: u64, state: State) {
        self.show_as(name, revision, state, false);
    }

    /// The log says so, or this node alone, because the log can't be reached.
    fn show_as(&self, name: &str, revision: u64, state: State, is_stale: bool) {
        self.carry_out(Effect::Show {
            user: user(name),
            revision: Revision::new(revision),
            state: Box::new(state),
            is_stale,
            was_removed: false,
            is_seen: true,
        });
    }

    /// The status that is told, and at which revision.
    fn told(&self, name: &str) -> Option<(Status, u64)> {
        let entry = self.engine.users.find(&user(name))?;
        let profile = entry.state.profile();
        Some((profile.decision().status, profile.revision().get()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_changes_nothing_seen_keeps_the_revision() {
    let node = SharedNode::start().await;
    let now = node.now();
    let first = micros(now);
    node.show("ann", first, online(now));
    let _watch = node.engine.users.pin(&user("ann"));
    assert_eq!(node.told("ann"), Some((Status::Online, first)));
    let later = State {
        changed: Some(Revision::new(first)),
        ..online(now)
    };
    node.show("ann", first + 7, later.clone());
    assert_eq!(node.told("ann"), Some((Status::Online, first)));
    // What was told is above the change: it is told at the entry.
    node.show("ann", first + 9, online(now));
    let between = State {
        status: Status::Idle,
        ..later
    };
    node.show("ann", first + 11, between);
    assert_eq!(node.told("ann"), Some((Status::Idle, first + 11)));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_moved_alone_are_told_by_no_new_revision() {
    let node = SharedNode::start().await;
    let now = node.now();
    node.show("ann", micros(now), online(now));
    let _watch = node.engine.users.pin(&user("ann"));
    let seen = now.after(Duration::from_secs(5));
    node.carry_out(Effect::Times(MovedTimes {
        user: user("ann"),
        last_seen: seen,
        last_active: None,
    }));
    assert_eq!(node.shown(&user("ann")).last_seen, Some(seen));
    assert_eq!(node.told("ann"), Some((Status::Online, micros(now))));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_is_told_once_and_not_over_a_later_change() {
    let node = SharedNode::start().await;
    let now = node.now();
    let removed = State {
        command: Some(Command {
            kind: CommandKind::Forget,
            at: now,
            by: Incarnation(9),
        }),
        ..State::default()
    };
    node.show("ann", micros(now) + 10, online(now));
    let _watch = node.engine.users.pin(&user("ann"));
    node.show("ann", micros(now) + 5, removed.clone());
    assert_eq!(node.told("ann"), Some((Status::Online, micros(now) + 10)));
    node.show("ann", micros(now) + 20, removed);
    assert_eq!(node.shown(&user("ann")).last_seen, None);
    assert_eq!(node.told("ann").map(|(status, _)| status), Some(Status::Offline));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_this_node_told_alone_are_told_to_the_log_after_the_session() {
    let node = SharedNode::start().await;
    let now = node.now();
    let earlier = Wall::from_millis(now.as_millis() - 60_000);
    node.show("ann", micros(earlier), online(earlier));
    let session = SessionId(1);
    let timers = node.engine.options.timers;
    let at = {
        let mut entry = node.engine.users.find(&user("ann")).expect("in memory");
        let at = node.engine.now_of(&entry);
        entry.state.connect(at, session, Activity::Unknown, &timers);
        entry.state.activity(at, session, Duration::ZERO, &timers);
        at
    };
    let told = State {
        last_seen: Some(at.wall),
        last_active: Some(at.wall),
        ..online(earlier)
    };
    node.show_as("ann", micros(now), told.clone(), true);
    {
        let mut entry = node.engine.users.find(&user("ann")).expect("in memory");
        entry.state.disconnect(at, session, EndReason::Dropped, timers.grace);
        entry.state.take_times();
        assert!(
            entry.state.profile().has_unlogged_times(),
            "the log has the time before"
        );
    }
    node.show("ann", micros(now) + 1, told);
    let entry = node.engine.users.find(&user("ann")).expect("in memory");
    assert!(!entry.state.profile().has_unlogged_times());
    drop(entry);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_over_when_its_entry_was_read_or_it_failed() {
    let node = SharedNode::start().await;
    let waiting = &node.engine.waiting;
    let (first, second) = (waiting.for_command(&user("ann")), waiting.for_command(&user("ann")));
    let other = waiting.for_command(&user("bob"));
    node.carry_out(Effect::EndSessions {
        user: user("ann"),
        kind: CommandKind::Kick,
        count: 3,
    });
    assert_eq!((first.await, second.await), (Ok(3), Ok(3)));
    node.carry_out(Effect::CommandFailed(user("bob")));
    assert!(other.await.is_err());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_this_run_are_not_taken_for_anothers() {
    let node = SharedNode::start().await;
    let state = State {
        contributions: vec![share(6, 2), share(7, 1), share(8, 3)],
        ..State::default()
    };
    let others = contributions_of_others(&state, node.shared());
    let counted: Vec<_> = others
        .iter()
        .map(|one| (one.incarnation.0, one.contribution.connections))
        .collect();
    assert_eq!(counted, [(6, 2), (8, 3)]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_of_the_log_are_on_this_nodes_clock() {
    let node = SharedNode::start().await;
    let now = node.now();
    let report = Report {
        source: Source::default(),
        status: CustomStatus::Online,
        since: now,
        heard: now,
        version: Version::new(1),
        said: Version::new(1),
        last_active: None,
        expires: None,
    };
    let state = State {
        durable: SharedPart {
            part: DurablePart {
                reports: vec![report].into(),
                ..DurablePart::default()
            },
            ends: vec![Some(now.after(Duration::from_secs(60)))],
        },
        chosen_until: Some(now.after(Duration::from_secs(90))),
        ..online(now)
    };
    let adopted = node.engine.adopted(&state, Revision::new(1));
    let began = node.engine.clock.mono();
    let left = |at: Option<presence::Mono>| at.map(|at| at.since(began).as_secs());
    // A part of a second may have passed.
    assert!(matches!(left(adopted.durable.reports[0].expires), Some(55..=60)));
    assert!(matches!(left(adopted.chosen_until), Some(85..=90)));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_this_node_is_told_when_the_log_has_it() {
    let node = SharedNode::start().await;
    let now = node.now();
    node.show("ann", micros(now), online(now));
    let partition = node.shared().partition_of(&user("ann"));
    {
        let mut entry = node.engine.users.find(&user("ann")).expect("in memory");
        let now = node.engine.now_of(&entry);
        // There is no session here, so by itself the rule would tell OFFLINE.
        assert!(node.engine.recompute(&mut entry, now).is_none());
        assert_eq!(entry.state.profile().decision().status, Status::Online);
        assert!(partition.is_waiting_for(&user("ann")) || entry.state.has_offered());
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_elsewhere_name_the_other_runs() {
    let node = SharedNode::start().await;
    let idle = Contribution {
        grace: Some(Activity::Idle),
        ..Contribution::default()
    };
    let state = State {
        contributions: vec![Share {
            contribution: idle,
            places: 1,
            ..share(8, 0)
        }],
        ..online(node.now())
    };
    node.show("ann", micros(node.now()), state);
    let entry = node.engine.users.find(&user("ann")).expect("in memory");
    let cluster = &node.engine.cluster;
    assert_eq!(entry.state.grace_elsewhere(&user("ann"), cluster), Activity::Idle);
    assert_eq!(entry.state.connections_elsewhere(&user("ann"), cluster), 0);
    drop(entry);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_degraded_entry_that_is_read_after_the_row_is_mended() {
    let node = SharedNode::start().await;
    let ann = user("ann");
    node.store_offline(&ann, node.now()).await;
    let state = State {
        degraded: true,
        contributions: vec![share(7, 1)],
        ..online(node.now())
    };
    let _watch = node.show_online(&ann, node.now());
    node.show("ann", micros(node.now()) + 1, state);
    node.until_shown(&ann, |shown| !shown.is_degraded).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_stale_and_commands_taken_while_additions_are_refused() {
    let node = SharedNode::start().await;
    let (engine, ann) = (&node.engine, user("ann"));
    let said = || {
        let freshness = engine.cluster.freshness_of(&ann);
        (freshness, engine.stale_partitions(), engine.complete_to() > 0)
    };
    node.show("ann", micros(node.now()), online(node.now()));
    // The node has read nothing of the log yet when it is ready.
    let read = async {
        while said() != (Freshness::Current, 0, true) {
            next_look().await;
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("it reads the log");
    node.carry_out(Effect::AdditionsRefused(true));
    assert_eq!(said(), (Freshness::Stale, 1, false));
    engine.kick(&ann).await.expect("the log takes it");
    node.carry_out(Effect::AdditionsRefused(false));
    assert_eq!(said(), (Freshness::Current, 0, true));
    node.stop().await;
}
