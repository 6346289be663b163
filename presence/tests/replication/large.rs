//! A partition with many users: no input looks at all of them at once.

use presence::replication::{
    Answer, Call, ConnectionNumber, Effect, Epoch, Incarnation, Input, NodeInfo, Partition, Question, Reply, Settings,
    Start, State, StatePage,
};
use presence::{Mono, Reading, Revision, Status, SystemWall, UserId, Wall};
use std::time::Duration;

const USERS: u64 = 5_000;
/// As many as the library takes at once.
const AT_ONCE: usize = 1_000;

#[test]
fn many_users_are_adopted_some_at_a_time() {
    let mut machine = Partition::new(start(), reading(0));
    let own = |_: &UserId| None;
    let mut shown = Vec::new();
    let mut now = 0;
    while shown.iter().sum::<usize>() < usize::try_from(USERS).unwrap() {
        let input = Input {
            reading: reading(now),
            own: &own,
        };
        machine.on_deadline(input);
        let mut effects = machine.take_effects();
        while let Some(answered) = effects.iter().find_map(answer) {
            count(&effects, &mut shown);
            match answered {
                Answered::Call(connection, answer) => machine.handle_answer(input, connection, Some(answer)),
                Answered::Question(generation, reply) => machine.handle_reply(input, generation, Some(reply)),
            }
            effects = machine.take_effects();
        }
        count(&effects, &mut shown);
        assert!(now < 1_000, "{shown:?}");
        now += 1;
    }
    assert!(shown.iter().all(|shown| *shown <= AT_ONCE), "{shown:?}");
    assert_eq!(machine.len(), usize::try_from(USERS).unwrap());
}

enum Answered {
    Call(ConnectionNumber, Answer),
    Question(u64, Reply),
}

/// Registrations and questions are answered; reads of the log and ticks stay open.
fn answer(effect: &Effect) -> Option<Answered> {
    let epoch = Epoch {
        start: Revision::new(1),
        random: 7,
    };
    let head = Revision::new(1_000_000);
    match effect {
        Effect::Call {
            connection,
            call: Call::Register { .. },
        } => Some(Answered::Call(
            *connection,
            Answer::Registered {
                epoch,
                head,
                time: Wall::from_millis(1_000),
                is_new: true,
            },
        )),
        Effect::Ask {
            generation,
            question: Question::Head,
        } => Some(Answered::Question(
            *generation,
            Reply::Head {
                head,
                epoch: Some(epoch),
            },
        )),
        Effect::Ask {
            generation,
            question: Question::Page { .. },
        } => Some(Answered::Question(*generation, Reply::Page(page()))),
        _ => None,
    }
}

fn page() -> StatePage {
    let state = State {
        status: Status::Online,
        ..State::default()
    };
    let user = |number: u64| UserId::new(&format!("user-{number}")).unwrap();
    StatePage {
        users: (0..USERS)
            .map(|number| (user(number), Revision::new(number + 2), state.encode()))
            .collect(),
        ..StatePage::default()
    }
}

fn count(effects: &[Effect], shown: &mut Vec<usize>) {
    let shows = effects.iter().filter(|effect| matches!(effect, Effect::Show { .. }));
    shown.push(shows.count());
}

fn start() -> Start {
    Start {
        own: Incarnation(1),
        previous: Vec::new(),
        node: NodeInfo::default(),
        settings: Settings {
            lease: Duration::from_secs(15),
            node_grace: Duration::from_secs(12),
            restart_grace: Duration::from_secs(30),
            command_kept: Duration::from_secs(3_600),
            sessions_max: 32,
            without: &[],
        },
        seed: 1,
    }
}

fn reading(millis: u64) -> Reading {
    Reading {
        mono: Mono::from_millis(millis),
        system: SystemWall::from_millis(1_000_000),
        records_ahead: 0,
    }
}
