//! The dashboard's thread: receives input, updates the model and draws frames. Input from the operator is drawn at once,
//! stream events are collected; together at most thirty frames a second. It blocks on nothing but its input channel. How
//! a frame reaches the terminal is not decided here.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
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
use super::update::{apply_pending, update};
use super::view;
use crate::clock;
use crate::failure::Failure;

/// Between two frames that show operator input: thirty a second.
const INPUT_FRAME_INTERVAL: Duration = Duration::from_micros(33_400);
/// Between any frame and one that shows stream events. Twice the interval for input, so that both together stay at thirty a
/// second: between two input frames that are closer than this there is no stream frame, between others there is one.
const STREAM_FRAME_INTERVAL: Duration = Duration::from_micros(66_800);
/// For how long queued input is processed before the next frame is considered.
const INPUT_BUDGET: Duration = Duration::from_millis(10);
/// Capacity of the input channel. When it is full the stream waits, and the daemon conflates. A key is queued behind at most
/// this many frames of at most 64 KiB, some 250 records each; one takes about half a millisecond to apply, so the key still
/// shows in the next frame.
pub(crate) const INPUTS_MAX: usize = 32;
/// Capacity of the channel to the backend: each request follows from a key, or is sent once a second.
pub(crate) const REQUESTS_MAX: usize = 64;

/// What reaches the thread.
#[derive(Debug)]
pub(crate) enum Input {
    /// For the model.
    Message(Message),
    /// SIGTSTP: stop until SIGCONT.
    Stop,
    /// The process continues after a stop (SIGCONT).
    Continued,
    /// A terminating signal arrived, or the terminal is gone.
    Terminate,
}

/// The channels between the backend and the event loop, on the event loop's side.
pub(crate) struct Channels {
    pub(crate) inputs: Receiver<Input>,
    pub(crate) requests: Sender<Effect>,
}

/// The clocks of this machine, as the model receives them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// The monotonic time counts from here.
    pub(crate) fn new() -> Self {
        Self {
            start: clock::instant(),
        }
    }

    pub(crate) fn now(self) -> Now {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now {
            mono: Mono::from_millis(millis),
            wall: clock::wall(),
        }
    }
}

/// Starts the thread that reads the terminal. It ends with the process: nothing interrupts a blocking read.
pub(crate) fn start_reading(inputs: Sender<Input>) {
    std::thread::spawn(move || {
        loop {
            let input = match crossterm::event::read() {
                Ok(event) => match input::message(event) {
                    Some(message) => Input::Message(message),
                    None => continue,
                },
                Err(_) => Input::Terminate,
            };
            let is_end = matches!(input, Input::Terminate);
            if inputs.blocking_send(input).is_err() || is_end {
                return;
            }
        }
    });
}

/// What the event loop asks of the screen.
pub(crate) enum ScreenCommand<'a> {
    /// Draw a frame. The model receives the size of the frame and lists its rows for that.
    Draw(&'a mut Model),
    /// Write the whole next frame, whatever is on the screen.
    Repaint,
    /// Ask for SIGTSTP: stop the job.
    Suspend,
    /// Leave the terminal and stop until SIGCONT.
    Stop,
    /// Enter the terminal's modes again after SIGCONT.
    Resume,
    /// Copy a text to the clipboard.
    Copy(&'a str),
}

/// Carries out screen commands on a terminal.
pub(crate) fn screen_handler(mut screen: Screen, theme: Theme) -> impl FnMut(ScreenCommand<'_>) -> io::Result<()> {
    move |command| {
        match command {
            ScreenCommand::Draw(model) => {
                return screen.draw(|buffer| {
                    model.size = Size {
                        width: buffer.area.width,
                        height: buffer.area.height,
                    };
                    apply_pending(model);
                    view::draw(model, &theme, buffer);
                });
            }
            ScreenCommand::Repaint => screen.repaint(),
            ScreenCommand::Suspend => return screen.suspend(),
            ScreenCommand::Stop => return screen.stop(),
            ScreenCommand::Resume => return screen.resume(),
            ScreenCommand::Copy(text) => return screen.copy(text),
        }
        Ok(())
    }
}

/// The model with its surroundings.
pub(crate) struct Dashboard<S> {
    pub(crate) model: Model,
    pub(crate) screen: S,
    pub(crate) clock: Clock,
    /// To the backend.
    pub(crate) requests: Sender<Effect>,
}

/// Why the next frame is needed, the most urgent reason last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Redraw {
    NotNeeded,
    /// The stream, a response or the clock changed the model.
    Update,
    /// The operator pressed a key, used the mouse or resized the terminal.
    Input,
}

impl Redraw {
    const fn for_message(message: &Message) -> Self {
        match message {
            Message::Key(_) | Message::Mouse(_) | Message::Paste(_) | Message::Resized(_) => Self::Input,
            Message::Tick(_) | Message::Stream(_) | Message::Response(_) => Self::Update,
        }
    }
}

impl<S: FnMut(ScreenCommand<'_>) -> io::Result<()>> Dashboard<S> {
    /// Runs on its own runtime until the operator quits or the process is terminated.
    ///
    /// # Errors
    /// When the terminal fails.
    pub(crate) fn run(mut self, mut inputs: Receiver<Input>) -> Result<(), Failure> {
        let unusable = |error: io::Error| Failure::failed(format_args!("can't use the terminal: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(unusable)?;
        runtime.block_on(self.serve(&mut inputs)).map_err(unusable)
    }

    async fn serve(&mut self, inputs: &mut Receiver<Input>) -> io::Result<()> {
        let (mut last_frame, mut last_input_frame) = (clock::instant(), clock::instant());
        self.draw()?;
        let mut redraw = Redraw::NotNeeded;
        loop {
            let wait = match redraw {
                Redraw::Input => INPUT_FRAME_INTERVAL.saturating_sub(last_input_frame.elapsed()),
                Redraw::Update => STREAM_FRAME_INTERVAL.saturating_sub(last_frame.elapsed()),
                Redraw::NotNeeded => self.until_next_second(),
            };
            let first = timeout(wait, inputs.recv()).await;
            if self.apply(Message::Tick(self.clock.now()))?.is_break() {
                return Ok(());
            }
            redraw = redraw.max(Redraw::Update);
            match first {
                Ok(Some(input)) => match self.take_queued(input, inputs)? {
                    (ControlFlow::Break(()), _) => return Ok(()),
                    (ControlFlow::Continue(()), more) => redraw = redraw.max(more),
                },
                Ok(None) => return Ok(()),
                Err(_) => {}
            }
            let is_due = match redraw {
                Redraw::Input => last_input_frame.elapsed() >= INPUT_FRAME_INTERVAL,
                _ => last_frame.elapsed() >= STREAM_FRAME_INTERVAL,
            };
            if is_due {
                last_frame = clock::instant();
                if redraw == Redraw::Input {
                    last_input_frame = last_frame;
                }
                self.draw()?;
                redraw = Redraw::NotNeeded;
            }
        }
    }

    /// Ages and countdowns change once a second.
    fn until_next_second(&self) -> Duration {
        let millis = self.clock.now().mono.as_millis();
        Duration::from_millis(1000 - millis % 1000)
    }

    fn draw(&mut self) -> io::Result<()> {
        (self.screen)(ScreenCommand::Draw(&mut self.model))
    }

    /// Processes queued input for at most [`INPUT_BUDGET`].
    fn take_queued(&mut self, first: Input, inputs: &mut Receiver<Input>) -> io::Result<(ControlFlow<()>, Redraw)> {
        let start = clock::instant();
        let mut redraw = Redraw::Update;
        let mut next = Some(first);
        while let Some(input) = next {
            match input {
                Input::Message(message) => {
                    redraw = redraw.max(Redraw::for_message(&message));
                    if self.apply(message)?.is_break() {
                        return Ok((ControlFlow::Break(()), redraw));
                    }
                }
                Input::Stop => {
                    (self.screen)(ScreenCommand::Stop)?;
                    redraw = Redraw::Input;
                }
                Input::Continued => {
                    (self.screen)(ScreenCommand::Resume)?;
                    redraw = Redraw::Input;
                }
                Input::Terminate => return Ok((ControlFlow::Break(()), redraw)),
            }
            next = if start.elapsed() < INPUT_BUDGET {
                inputs.try_recv().ok()
            } else {
                None
            };
        }
        Ok((ControlFlow::Continue(()), redraw))
    }

    /// Updates the model and carries out the effects.
    fn apply(&mut self, message: Message) -> io::Result<ControlFlow<()>> {
        if matches!(message, Message::Resized(_)) {
            // The terminal may have been smaller in between and have lost part of the frame.
            (self.screen)(ScreenCommand::Repaint)?;
        }
        let mut effects = VecDeque::from(update(&mut self.model, message));
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Quit => return Ok(ControlFlow::Break(())),
                Effect::Suspend => (self.screen)(ScreenCommand::Suspend)?,
                Effect::Repaint => (self.screen)(ScreenCommand::Repaint)?,
                Effect::Copy(text) => (self.screen)(ScreenCommand::Copy(&text))?,
                request => {
                    if let Err(full) = self.requests.try_send(request) {
                        let why = "too many requests are in progress; try again".to_owned();
                        let response = failed_response(full.into_inner(), why);
                        effects.extend(update(&mut self.model, Message::Response(response)));
                    }
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The response to a request that was not carried out: the model must not wait for one that never comes.
pub(super) fn failed_response(request: Effect, why: String) -> Response {
    match request {
        Effect::FetchStats => Response::Stats(Err(why)),
        Effect::FetchRecords(_) => Response::RecordsFailed,
        Effect::FetchExplanation(user) => Response::Explained { user, result: Err(why) },
        _ => Response::Failed(why),
    }
}
