//! The thread that updates and draws: it waits for input, applies it, and shows a picture when something changed. A key is answered with a
//! picture at once, news gather for one; together at most thirty a second. It waits for nothing else. On what it is shown is not decided
//! here.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use presence::{Mono, Now};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::timeout;

use super::effect::Effect;
use super::geometry::Size;
use super::message::{Message, Response};
use super::model::Model;
use super::terminal::{Screen, input};
use super::theme::Theme;
use super::update::{settle, update};
use super::view;
use crate::clock;
use crate::failure::Failure;

/// Between two answers to keys at least: thirty a second.
const INPUT_PICTURE_INTERVAL: Duration = Duration::from_micros(33_400);
/// StreamEvent wait for so long after any picture. Twice as long as keys, so that both together are thirty a second at most: between two
/// answers that lie closer there is none of news, and between others one.
const STREAM_PICTURE_INTERVAL: Duration = Duration::from_micros(66_800);
/// For how long input is taken before the next picture is looked at.
const INPUT_BUDGET: Duration = Duration::from_millis(10);
/// Inputs that wait at most; then the stream waits, and the daemon conflates. A key stands behind so many frames of at most 64 KiB, some
/// 250 records each, of which every one is applied in about half a millisecond: it is still answered with the next picture.
pub(crate) const INPUTS_MAX: usize = 32;
/// Orders that wait at most: each is an answer to a key, or comes once a second.
pub(crate) const ORDERS_MAX: usize = 64;

/// What reaches the thread.
#[derive(Debug)]
pub(crate) enum Input {
    /// For the model.
    Message(Message),
    /// Somebody wants it to stop until it is continued.
    Stop,
    /// Somebody continued it.
    Continued,
    /// Somebody outside wants it to end: a signal, or the terminal is gone.
    End,
}

/// The clocks of this machine, as the model is told them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    begun: Instant,
}

impl Clock {
    /// Begins now.
    pub(crate) fn new() -> Self {
        Self {
            begun: clock::instant(),
        }
    }

    /// Now.
    pub(crate) fn now(self) -> Now {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now {
            mono: Mono::from_millis(millis),
            wall: clock::wall(),
        }
    }
}

/// Starts to read the terminal. The thread ends with the process: nothing wakes a read that waits.
pub(crate) fn start_reading(inputs: Sender<Input>) {
    std::thread::spawn(move || {
        loop {
            let input = match crossterm::event::read() {
                Ok(event) => match input::message(event) {
                    Some(message) => Input::Message(message),
                    None => continue,
                },
                Err(_) => Input::End,
            };
            let is_end = matches!(input, Input::End);
            if inputs.blocking_send(input).is_err() || is_end {
                return;
            }
        }
    });
}

/// What is to happen where the dashboard is shown.
pub(crate) enum Show<'a> {
    /// A picture of this. It is told how large the picture is, and lists the rows for that.
    Picture(&'a mut Model),
    /// All of the next picture, whatever was there before.
    Anew,
    /// The shell: it is asked for.
    Shell,
    /// The shell, until it brings us back.
    Stopped,
    /// What was there before somebody else had the terminal.
    Again,
    /// Nothing, but this text is put into the clipboard.
    Copied(&'a str),
}

/// Shows it on a screen.
pub(crate) fn on(mut screen: Screen, theme: Theme) -> impl FnMut(Show<'_>) -> io::Result<()> {
    move |show| {
        match show {
            Show::Picture(model) => {
                return screen.draw(|buffer| {
                    model.size = Size {
                        width: buffer.area.width,
                        height: buffer.area.height,
                    };
                    settle(model);
                    view::draw(model, &theme, buffer);
                });
            }
            Show::Anew => screen.repaint(),
            Show::Shell => return screen.suspend(),
            Show::Stopped => return screen.stop(),
            Show::Again => return screen.come_back(),
            Show::Copied(text) => return screen.copy(text),
        }
        Ok(())
    }
}

/// The dashboard, and where it is shown.
pub(crate) struct Dashboard<S> {
    pub(crate) model: Model,
    pub(crate) show: S,
    pub(crate) clock: Clock,
    pub(crate) orders: Sender<Effect>,
}

/// Whether it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    On,
    Over,
}

/// What the next picture is for, the most urgent last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    /// Nothing changed.
    Nothing,
    /// Something changed that nobody here asked for.
    Picture,
    /// The operator did something.
    Response,
}

impl Wanted {
    const fn of(message: &Message) -> Self {
        match message {
            Message::Key(_) | Message::Mouse(_) | Message::Paste(_) | Message::Resized(_) => Self::Response,
            Message::Tick(_) | Message::Stream(_) | Message::Response(_) => Self::Picture,
        }
    }
}

impl<S: FnMut(Show<'_>) -> io::Result<()>> Dashboard<S> {
    /// Runs until the operator or somebody outside ends it, on a runtime of its own.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn run(mut self, mut inputs: Receiver<Input>) -> Result<(), Failure> {
        let broken = |error: io::Error| Failure::refused(format_args!("the terminal can't be used: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(broken)?;
        runtime.block_on(self.serve(&mut inputs)).map_err(broken)
    }

    async fn serve(&mut self, inputs: &mut Receiver<Input>) -> io::Result<()> {
        let (mut drawn, mut answered) = (clock::instant(), clock::instant());
        self.draw()?;
        let mut wanted = Wanted::Nothing;
        loop {
            let wait = match wanted {
                Wanted::Response => INPUT_PICTURE_INTERVAL.saturating_sub(answered.elapsed()),
                Wanted::Picture => STREAM_PICTURE_INTERVAL.saturating_sub(drawn.elapsed()),
                Wanted::Nothing => self.until_next_second(),
            };
            let first = timeout(wait, inputs.recv()).await;
            if self.message(Message::Tick(self.clock.now()))? == Going::Over {
                return Ok(());
            }
            wanted = wanted.max(Wanted::Picture);
            match first {
                Ok(Some(input)) => match self.take_some(input, inputs)? {
                    (Going::Over, _) => return Ok(()),
                    (Going::On, more) => wanted = wanted.max(more),
                },
                Ok(None) => return Ok(()),
                Err(_) => {}
            }
            let is_due = match wanted {
                Wanted::Response => answered.elapsed() >= INPUT_PICTURE_INTERVAL,
                _ => drawn.elapsed() >= STREAM_PICTURE_INTERVAL,
            };
            if is_due {
                drawn = clock::instant();
                if wanted == Wanted::Response {
                    answered = drawn;
                }
                self.draw()?;
                wanted = Wanted::Nothing;
            }
        }
    }

    /// Ages and countdowns move once a second.
    fn until_next_second(&self) -> Duration {
        let millis = self.clock.now().mono.as_millis();
        Duration::from_millis(1000 - millis % 1000)
    }

    fn draw(&mut self) -> io::Result<()> {
        (self.show)(Show::Picture(&mut self.model))
    }

    /// Takes what waits, for as long as a picture can wait for it.
    fn take_some(&mut self, first: Input, inputs: &mut Receiver<Input>) -> io::Result<(Going, Wanted)> {
        let begun = clock::instant();
        let mut wanted = Wanted::Picture;
        let mut next = Some(first);
        while let Some(input) = next {
            match input {
                Input::Message(message) => {
                    wanted = wanted.max(Wanted::of(&message));
                    if self.message(message)? == Going::Over {
                        return Ok((Going::Over, wanted));
                    }
                }
                Input::Stop => {
                    (self.show)(Show::Stopped)?;
                    wanted = Wanted::Response;
                }
                Input::Continued => {
                    (self.show)(Show::Again)?;
                    wanted = Wanted::Response;
                }
                Input::End => return Ok((Going::Over, wanted)),
            }
            next = if begun.elapsed() < INPUT_BUDGET {
                inputs.try_recv().ok()
            } else {
                None
            };
        }
        Ok((Going::On, wanted))
    }

    fn message(&mut self, message: Message) -> io::Result<Going> {
        if matches!(message, Message::Resized(_)) {
            // It may have been smaller meanwhile, and have lost what it showed.
            (self.show)(Show::Anew)?;
        }
        let mut effects = VecDeque::from(update(&mut self.model, message));
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Quit => return Ok(Going::Over),
                Effect::Suspend => (self.show)(Show::Shell)?,
                Effect::Repaint => (self.show)(Show::Anew)?,
                Effect::Copy(text) => (self.show)(Show::Copied(&text))?,
                order => {
                    if let Err(refused) = self.orders.try_send(order) {
                        let why = "too much is under way already; try again".to_owned();
                        let response = no_response(refused.into_inner(), why);
                        effects.extend(update(&mut self.model, Message::Response(response)));
                    }
                }
            }
        }
        Ok(Going::On)
    }
}

/// What is told of an order that has no answer: the model must not wait for one that never comes.
pub(super) fn no_response(order: Effect, why: String) -> Response {
    match order {
        Effect::AskStats => Response::Stats(Err(why)),
        Effect::AskRecords(_) => Response::NotFresh,
        Effect::AskExplain(user) => Response::Explained { user, result: Err(why) },
        _ => Response::Failed(why),
    }
}
