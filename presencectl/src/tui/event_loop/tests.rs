//! The event loop without a terminal: a test screen records what would be drawn.

use std::sync::mpsc;
use std::thread::JoinHandle;

use presence::Wall;
use presence::wire::record::Update;
use tokio::sync::mpsc::channel;

use super::super::key::{Code, Key};
use super::super::message::StreamEvent;
use super::super::model::tests::{record, user};
use super::*;
use presence::Status;

/// Fails a test that waits longer.
const DEADLINE: Duration = Duration::from_secs(20);
const SIZE: Size = Size { width: 80, height: 24 };

/// A screen command, with what a test needs of the model.
#[derive(Debug, PartialEq)]
enum Recorded {
    Draw {
        at: Instant,
        has_overlay: bool,
        users: u64,
        stats_error: Option<String>,
    },
    Repaint,
    Suspend,
    Stop,
    Resume,
    Copy(String),
}

/// A running dashboard whose screen records its commands.
struct RunningDashboard {
    inputs: Option<Sender<Input>>,
    requests: Receiver<Effect>,
    commands: mpsc::Receiver<Recorded>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl RunningDashboard {
    fn start(model: impl FnOnce(Model) -> Model, requests_max: usize) -> Self {
        let clock = Clock::new();
        let model = model(Model::new(SIZE, clock.now()));
        let (inputs, input) = channel(INPUTS_MAX);
        let (request, requests) = channel(requests_max);
        let (record, commands) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let screen = move |command: ScreenCommand<'_>| {
                let recorded = match command {
                    ScreenCommand::Draw(model) => Recorded::Draw {
                        at: clock::instant(),
                        has_overlay: model.overlay.is_some(),
                        users: model.known_users.counts().online,
                        stats_error: model.stats_error.clone(),
                    },
                    ScreenCommand::Repaint => Recorded::Repaint,
                    ScreenCommand::Suspend => Recorded::Suspend,
                    ScreenCommand::Stop => Recorded::Stop,
                    ScreenCommand::Resume => Recorded::Resume,
                    ScreenCommand::Copy(text) => Recorded::Copy(text.to_owned()),
                };
                record.send(recorded).map_err(io::Error::other)
            };
            let dashboard = Dashboard {
                model,
                screen,
                clock,
                requests: request,
            };
            dashboard.run(input)
        });
        Self {
            inputs: Some(inputs),
            requests,
            commands,
            thread,
        }
    }

    fn send(&self, message: Message) {
        let inputs = self.inputs.as_ref().unwrap();
        inputs.blocking_send(Input::Message(message)).unwrap();
    }

    fn press(&self, key: Key) {
        self.send(Message::Key(key));
    }

    /// Waits for a matching command.
    fn until(&self, matches: impl Fn(&Recorded) -> bool) -> Recorded {
        loop {
            let command = self.commands.recv_timeout(DEADLINE).unwrap();
            if matches(&command) {
                return command;
            }
        }
    }

    fn ends(self) {
        self.thread.join().unwrap().unwrap();
    }
}

fn snapshot(users: &[&str]) -> Message {
    let users = users.iter().map(|user| Update::Record(record(user, Status::Online, 1)));
    Message::Stream(StreamEvent::Snapshot {
        now: Wall::from_millis(1_000),
        users: users.collect(),
        resumed: false,
        done: true,
    })
}

fn connected() -> Message {
    let text = || "n1".to_owned();
    Message::Stream(StreamEvent::Connected {
        server: text(),
        node: text(),
        version: text(),
    })
}

#[test]
fn a_key_redraws_the_screen_and_q_quits() {
    let running = RunningDashboard::start(|model| model, REQUESTS_MAX);
    running.until(|command| matches!(command, Recorded::Draw { has_overlay: false, .. }));
    running.press(Key::char('?'));
    running.until(|command| matches!(command, Recorded::Draw { has_overlay: true, .. }));
    running.press(Key::plain(Code::Esc));
    running.until(|command| matches!(command, Recorded::Draw { has_overlay: false, .. }));
    running.press(Key::char('q'));
    running.ends();
}

#[test]
fn the_loop_ends_on_terminate_and_when_its_input_closes() {
    let running = RunningDashboard::start(|model| model, REQUESTS_MAX);
    running
        .inputs
        .as_ref()
        .unwrap()
        .blocking_send(Input::Terminate)
        .unwrap();
    running.ends();
    let mut running = RunningDashboard::start(|model| model, REQUESTS_MAX);
    running.inputs = None;
    running.ends();
}

/// Sends messages without pause and checks the interval between frames.
fn assert_frame_interval(message: impl Fn() -> Message, interval: Duration) {
    const FRAMES: usize = 12;
    // Before the first frame, which may be recorded late.
    let start = clock::instant();
    let running = RunningDashboard::start(|model| model, REQUESTS_MAX);
    let mut at = Vec::new();
    while at.len() < FRAMES && start.elapsed() < DEADLINE {
        running.send(message());
        at.extend(running.commands.try_iter().filter_map(|command| match command {
            Recorded::Draw { at, .. } => Some(at),
            _ => None,
        }));
    }
    assert!(at.len() >= FRAMES, "{} frames", at.len());
    // Over all frames, because single ones may be delayed by the scheduler.
    let took = at[at.len() - 1] - start;
    let least = interval.mul_f64((at.len() - 1) as f64);
    assert!(took >= least, "{} frames in {took:?}", at.len());
    running.press(Key::char('q'));
    running.ends();
}

#[test]
fn input_is_drawn_at_most_thirty_times_a_second() {
    assert_frame_interval(|| Message::Paste("alice".into()), Duration::from_secs(1) / 30);
}

#[test]
fn stream_events_are_drawn_at_most_fifteen_times_a_second() {
    assert_frame_interval(connected, Duration::from_secs(1) / 15);
}

#[test]
fn an_idle_dashboard_is_redrawn_every_second() {
    let running = RunningDashboard::start(|model| model, REQUESTS_MAX);
    let frame = |command: &Recorded| matches!(command, Recorded::Draw { .. });
    for _ in 0..3 {
        running.until(frame);
    }
    running.press(Key::char('q'));
    running.ends();
}

#[test]
fn screen_effects_go_to_the_screen_and_requests_to_the_backend() {
    let mut running = RunningDashboard::start(|model| model, REQUESTS_MAX);
    running.send(connected());
    running.send(snapshot(&["alice"]));
    running.until(|command| matches!(command, Recorded::Draw { users: 1, .. }));
    assert_eq!(running.requests.blocking_recv(), Some(Effect::FetchStats));
    running.send(Message::Resized(SIZE));
    running.until(|command| *command == Recorded::Repaint);
    running.press(Key::ctrl('l'));
    running.until(|command| *command == Recorded::Repaint);
    running.press(Key::ctrl('z'));
    running.until(|command| *command == Recorded::Suspend);
    for (input, expected) in [(Input::Stop, Recorded::Stop), (Input::Continued, Recorded::Resume)] {
        running.inputs.as_ref().unwrap().blocking_send(input).unwrap();
        running.until(|command| *command == expected);
    }
    running.press(Key::plain(Code::Down));
    running.press(Key::char('y'));
    running.until(|command| *command == Recorded::Copy("alice".into()));
    running.press(Key::char('q'));
    running.ends();
}

#[test]
fn a_request_that_does_not_fit_the_queue_gets_a_failed_response() {
    // The explanation fills the queue, and nothing empties it.
    let running = RunningDashboard::start(|model| model.with_user(user("alice")), 1);
    running.send(connected());
    running.send(snapshot(&["alice"]));
    let failed = |command: &Recorded| matches!(command, Recorded::Draw { stats_error: Some(why), .. } if why.contains("in progress"));
    running.until(failed);
    running.press(Key::char('q'));
    running.ends();
    assert_eq!(
        failed_response(Effect::FetchRecords(Vec::new()), "x".into()),
        Response::RecordsFailed
    );
    assert!(matches!(
        failed_response(Effect::FetchExplanation(user("bob")), "x".into()),
        Response::Explained { result: Err(_), .. }
    ));
    assert!(matches!(
        failed_response(Effect::Kick(user("bob")), "x".into()),
        Response::Failed(_)
    ));
}
