//! The loop without a terminal: what is shown is looked at as the model it is a picture of.

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

/// For what should come at once.
const DEADLINE: Duration = Duration::from_secs(20);
const SIZE: Size = Size { width: 80, height: 24 };

/// What was shown.
#[derive(Debug, PartialEq)]
enum Shown {
    Picture {
        at: Instant,
        has_overlay: bool,
        users: u64,
        stats_error: Option<String>,
    },
    Anew,
    Shell,
    Stopped,
    Again,
    Copied(String),
}

/// A dashboard that runs.
struct Running {
    inputs: Option<Sender<Input>>,
    orders: Receiver<Effect>,
    shown: mpsc::Receiver<Shown>,
    ends: JoinHandle<Result<(), Failure>>,
}

impl Running {
    fn start(model: impl FnOnce(Model) -> Model, orders_max: usize) -> Self {
        let clock = Clock::new();
        let model = model(Model::new(SIZE, clock.now()));
        let (inputs, input) = channel(INPUTS_MAX);
        let (order, orders) = channel(orders_max);
        let (tell, shown) = mpsc::channel();
        let ends = std::thread::spawn(move || {
            let show = move |show: Show<'_>| {
                let shown = match show {
                    Show::Picture(model) => Shown::Picture {
                        at: clock::instant(),
                        has_overlay: model.overlay.is_some(),
                        users: model.known_users.counts().online,
                        stats_error: model.stats_error.clone(),
                    },
                    Show::Anew => Shown::Anew,
                    Show::Shell => Shown::Shell,
                    Show::Stopped => Shown::Stopped,
                    Show::Again => Shown::Again,
                    Show::Copied(text) => Shown::Copied(text.to_owned()),
                };
                tell.send(shown).map_err(io::Error::other)
            };
            let dashboard = Dashboard {
                model,
                show,
                clock,
                orders: order,
            };
            dashboard.run(input)
        });
        Self {
            inputs: Some(inputs),
            orders,
            shown,
            ends,
        }
    }

    fn send(&self, message: Message) {
        let inputs = self.inputs.as_ref().unwrap();
        inputs.blocking_send(Input::Message(message)).unwrap();
    }

    fn press(&self, key: Key) {
        self.send(Message::Key(key));
    }

    /// Waits until something like that is shown.
    fn until(&self, what: impl Fn(&Shown) -> bool) -> Shown {
        loop {
            let shown = self.shown.recv_timeout(DEADLINE).unwrap();
            if what(&shown) {
                return shown;
            }
        }
    }

    fn ends(self) {
        self.ends.join().unwrap().unwrap();
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
    let word = || "n1".to_owned();
    Message::Stream(StreamEvent::Connected {
        server: word(),
        node: word(),
        version: word(),
    })
}

#[test]
fn a_key_is_answered_with_a_picture_and_q_ends_it() {
    let running = Running::start(|model| model, ORDERS_MAX);
    running.until(|shown| matches!(shown, Shown::Picture { has_overlay: false, .. }));
    running.press(Key::char('?'));
    running.until(|shown| matches!(shown, Shown::Picture { has_overlay: true, .. }));
    running.press(Key::plain(Code::Esc));
    running.until(|shown| matches!(shown, Shown::Picture { has_overlay: false, .. }));
    running.press(Key::char('q'));
    running.ends();
}

#[test]
fn it_ends_when_it_is_told_to_and_when_nobody_is_left_to_tell_it_anything() {
    let running = Running::start(|model| model, ORDERS_MAX);
    running.inputs.as_ref().unwrap().blocking_send(Input::End).unwrap();
    running.ends();
    let mut running = Running::start(|model| model, ORDERS_MAX);
    running.inputs = None;
    running.ends();
}

/// However fast this comes, pictures of it are so far apart.
fn assert_paced(message: impl Fn() -> Message, every: Duration) {
    const PICTURES: usize = 12;
    let running = Running::start(|model| model, ORDERS_MAX);
    let mut at = Vec::new();
    let begun = clock::instant();
    while at.len() < PICTURES && begun.elapsed() < DEADLINE {
        running.send(message());
        at.extend(running.shown.try_iter().filter_map(|shown| match shown {
            Shown::Picture { at, .. } => Some(at),
            _ => None,
        }));
    }
    assert!(at.len() >= PICTURES, "{} pictures", at.len());
    // Of the whole, because a test's threads are held up now and then.
    let took = at[at.len() - 1] - at[0];
    let least = every.mul_f64((at.len() - 1) as f64) - every / 2;
    assert!(took >= least, "{} pictures in {took:?}", at.len());
    running.press(Key::char('q'));
    running.ends();
}

#[test]
fn however_much_is_typed_there_are_at_most_thirty_pictures_a_second() {
    assert_paced(|| Message::Paste("alice".into()), Duration::from_secs(1) / 30);
}

#[test]
fn however_much_the_daemon_tells_there_are_at_most_fifteen_pictures_a_second() {
    assert_paced(connected, Duration::from_secs(1) / 15);
}

#[test]
fn a_picture_is_shown_every_second_although_nothing_happens() {
    let running = Running::start(|model| model, ORDERS_MAX);
    let picture = |shown: &Shown| matches!(shown, Shown::Picture { .. });
    for _ in 0..3 {
        running.until(picture);
    }
    running.press(Key::char('q'));
    running.ends();
}

#[test]
fn what_concerns_the_screen_is_done_there_and_the_rest_is_ordered() {
    let mut running = Running::start(|model| model, ORDERS_MAX);
    running.send(connected());
    running.send(snapshot(&["alice"]));
    running.until(|shown| matches!(shown, Shown::Picture { users: 1, .. }));
    assert_eq!(running.orders.blocking_recv(), Some(Effect::AskStats));
    running.send(Message::Resized(SIZE));
    running.until(|shown| *shown == Shown::Anew);
    running.press(Key::ctrl('l'));
    running.until(|shown| *shown == Shown::Anew);
    running.press(Key::ctrl('z'));
    running.until(|shown| *shown == Shown::Shell);
    for (input, shown) in [(Input::Stop, Shown::Stopped), (Input::Continued, Shown::Again)] {
        running.inputs.as_ref().unwrap().blocking_send(input).unwrap();
        running.until(|told| *told == shown);
    }
    running.press(Key::plain(Code::Down));
    running.press(Key::char('y'));
    running.until(|shown| *shown == Shown::Copied("alice".into()));
    running.press(Key::char('q'));
    running.ends();
}

#[test]
fn an_order_that_nobody_takes_is_answered_all_the_same() {
    // The explanation takes the only place, and nobody empties it.
    let running = Running::start(|model| model.with_user(user("alice")), 1);
    running.send(connected());
    running.send(snapshot(&["alice"]));
    let told =
        |shown: &Shown| matches!(shown, Shown::Picture { stats_error: Some(why), .. } if why.contains("under way"));
    running.until(told);
    running.press(Key::char('q'));
    running.ends();
    assert_eq!(
        no_response(Effect::AskRecords(Vec::new()), "x".into()),
        Response::NotFresh
    );
    assert!(matches!(
        no_response(Effect::AskExplain(user("bob")), "x".into()),
        Response::Explained { result: Err(_), .. }
    ));
    assert!(matches!(
        no_response(Effect::Kick(user("bob")), "x".into()),
        Response::Failed(_)
    ));
}
