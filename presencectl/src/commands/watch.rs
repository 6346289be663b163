//! `watch`: the live dashboard. Finds the daemon, starts the backend, the terminal and the event loop, and shuts them
//! down in order; everything else is in `tui`.

use std::convert::Infallible;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::oneshot;

use super::Session;
use crate::cli::Watch;
use crate::client::discover::{Credential, Target};
use crate::client::follower::Connection;
use crate::failure::Failure;
use crate::output::{Format, terminal};
use crate::tui::backend::Backend;
use crate::tui::event_loop::{
    Channels, Clock, Dashboard, INPUTS_MAX, Input, REQUESTS_MAX, screen_handler, start_reading,
};
use crate::tui::geometry::Size;
use crate::tui::model::Model;
use crate::tui::snapshot;
use crate::tui::terminal::{Screen, leave};
use crate::tui::theme::Theme;

/// How long the dashboard may take to end after a signal: a terminal that accepts no output must not block it.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the dashboard, or prints one frame of it.
pub(super) async fn run(session: &mut Session, args: &Watch) -> Result<(), Failure> {
    check_output(session, args)?;
    let target = session.target()?;
    check_credential(&target)?;
    let first = Connection::open(&target)
        .await
        .map_err(|error| error.failure(&target))?;
    let (input, inputs) = mpsc::channel(INPUTS_MAX);
    let (requests, received) = mpsc::channel(REQUESTS_MAX);
    let backend = Arc::new(Backend::new(session.finder.clone(), target, input.clone())?);
    let channels = Channels { inputs, requests };
    let frontend = async {
        match args.once {
            true => print(session, args, channels).await,
            false => show(args, input, channels).await,
        }
    };
    let served = async {
        backend.serve(first, received).await;
        // The frontend decides when the command ends.
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        result = frontend => result,
        never = served => match never {},
    }
}

fn check_output(session: &Session, args: &Watch) -> Result<(), Failure> {
    if session.output.format != Format::Table {
        return Err(Failure::usage("the dashboard has no machine-readable output format")
            .next("use `events`, `online` or `stats` with -o instead"));
    }
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !(args.once || is_terminal) {
        return Err(
            Failure::usage("the dashboard needs a terminal: stdin or stdout is not one")
                .next("`watch --once` prints one snapshot, `events` prints every change"),
        );
    }
    Ok(())
}

fn check_credential(target: &Target) -> Result<(), Failure> {
    if matches!(target.credential, Credential::Token { .. }) {
        return Err(Failure::not_allowed(
            "the dashboard needs the daemon's secret: a connection with a token would make its user present",
        )
        .next("pass the secret with --secret-file FILE"));
    }
    Ok(())
}

async fn print(session: &Session, args: &Watch, channels: Channels) -> Result<(), Failure> {
    let size = snapshot::size(terminal_size(), |name| std::env::var(name).ok());
    let clock = Clock::new();
    let model = model(args, size, clock);
    snapshot::print(model, channels, clock, &theme(), session.output.colour).await
}

/// Runs the event loop on its own thread until it ends.
async fn show(args: &Watch, input: Sender<Input>, channels: Channels) -> Result<(), Failure> {
    let clock = Clock::new();
    let unusable = |error: io::Error| Failure::failed(format_args!("can't use the terminal: {error}"));
    let mut signals = signals().map_err(unusable)?;
    let mut stops = listen(Signal::TSTP).map_err(unusable)?;
    let mut continues = listen(Signal::CONT).map_err(unusable)?;
    let (resume, continued) = sync_channel(1);
    let screen = Screen::enter(continued).map_err(unusable)?;
    let dashboard = Dashboard {
        model: model(args, screen.size(), clock),
        screen: screen_handler(screen, theme()),
        clock,
        requests: channels.requests,
    };
    start_reading(input.clone());
    let (done, mut ended) = oneshot::channel();
    std::thread::spawn(move || {
        // After a panic the sender is dropped, so the receiver always returns.
        let _ = done.send(dashboard.run(channels.inputs));
    });
    let panicked = |_| Failure::failed("the dashboard panicked; see the message above");
    loop {
        tokio::select! {
            result = &mut ended => return result.map_err(panicked)?,
            () = signals.recv() => break,
            _ = stops.recv() => send(&input, Input::Stop),
            _ = continues.recv() => {
                // Full or closed: the event loop is not waiting for it.
                let _ = resume.try_send(());
                send(&input, Input::Continued);
            }
        }
    }
    let end = async {
        // Fails only if the event loop has ended already.
        let _ = input.send(Input::Terminate).await;
        ended.await.map_err(panicked)?
    };
    let in_time = tokio::time::timeout(SHUTDOWN_TIMEOUT, end).await;
    leave();
    in_time.unwrap_or(Ok(()))
}

/// Sends to the event loop, which may be busy, without delaying the signal handling.
fn send(input: &Sender<Input>, what: Input) {
    let input = input.clone();
    // Fails only if the event loop has ended already.
    tokio::spawn(async move { input.send(what).await.is_ok() });
}

fn listen(to: Signal) -> io::Result<tokio::signal::unix::Signal> {
    signal(SignalKind::from_raw(to.as_raw()))
}

/// The signals that terminate the program.
struct Signals([tokio::signal::unix::Signal; 4]);

fn signals() -> io::Result<Signals> {
    Ok(Signals([
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
        signal(SignalKind::quit())?,
    ]))
}

impl Signals {
    async fn recv(&mut self) {
        let [terminate, interrupt, hangup, quit] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
    }
}

fn model(args: &Watch, size: Size, clock: Clock) -> Model {
    let model = Model::new(size, clock.now());
    match &args.user {
        Some(user) => model.with_user(user.clone()),
        None => model,
    }
}

fn theme() -> Theme {
    Theme::from_environment(|name| std::env::var(name).ok())
}

fn terminal_size() -> Option<Size> {
    let (width, height) = terminal::size(&io::stdout())?;
    Some(Size { width, height })
}
