//! `watch`: the live dashboard. Finds the daemon, starts what the dashboard consists of, and ends it in order; everything else is in
//! `tui`.

use std::convert::Infallible;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;

use super::Session;
use crate::cli::Watch;
use crate::client::discover::{Credential, Target};
use crate::client::follow::Attached;
use crate::failure::Failure;
use crate::output::{Format, terminal};
use crate::tui::backend::Backend;
use crate::tui::effect::Effect;
use crate::tui::event_loop::{Clock, Dashboard, INPUTS_MAX, Input, ORDERS_MAX, on, start_reading};
use crate::tui::geometry::Size;
use crate::tui::model::Model;
use crate::tui::snapshot;
use crate::tui::terminal::{Screen, leave};
use crate::tui::theme::Theme;

/// How long the dashboard may take to end once it was told to: a terminal that takes nothing must not keep it.
const END_WITHIN: Duration = Duration::from_secs(2);

/// The two ways between the daemon's side and the dashboard's.
struct Ways {
    inputs: Receiver<Input>,
    orders: Sender<Effect>,
}

/// Shows the dashboard, or one picture of it.
pub(super) async fn run(session: &mut Session, args: &Watch) -> Result<(), Failure> {
    refuse_what_makes_no_sense(session, args)?;
    let target = session.target()?;
    refuse_a_token(&target)?;
    let first = Attached::attach(&target)
        .await
        .map_err(|error| error.failure(&target))?;
    let (input, inputs) = mpsc::channel(INPUTS_MAX);
    let (orders, carried_out) = mpsc::channel(ORDERS_MAX);
    let backend = Arc::new(Backend::new(session.finder.clone(), target, input.clone())?);
    let ways = Ways { inputs, orders };
    let shown = async {
        match args.once {
            true => print(session, args, ways).await,
            false => show(args, input, ways).await,
        }
    };
    let served = async {
        backend.serve(first, carried_out).await;
        // What is left is up to the dashboard.
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        shown = shown => shown,
        never = served => match never {},
    }
}

fn refuse_what_makes_no_sense(session: &Session, args: &Watch) -> Result<(), Failure> {
    if session.output.format != Format::Table {
        return Err(Failure::usage("the dashboard is for people: it has no such format")
            .next("for programs there are `events`, `online` and `stats`, each with -o"));
    }
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !(args.once || is_terminal) {
        return Err(Failure::usage("the dashboard needs a terminal, and this is none")
            .next("`watch --once` prints one picture, `events` prints every change"));
    }
    Ok(())
}

fn refuse_a_token(target: &Target) -> Result<(), Failure> {
    if matches!(target.credential, Credential::Token { .. }) {
        return Err(Failure::not_allowed(
            "the dashboard needs the daemon's secret: with a token, whoever looks would be shown as present",
        )
        .next("give the secret with --secret-file FILE"));
    }
    Ok(())
}

async fn print(session: &Session, args: &Watch, ways: Ways) -> Result<(), Failure> {
    let size = snapshot::size(terminal_size(), |name| std::env::var(name).ok());
    let clock = Clock::new();
    let theme = theme();
    let colour = session.output.colour;
    snapshot::print(
        model(args, size, clock),
        (&theme, colour),
        clock,
        (ways.inputs, ways.orders),
    )
    .await
}

/// Runs the dashboard on a thread of its own until it ends.
async fn show(args: &Watch, input: Sender<Input>, ways: Ways) -> Result<(), Failure> {
    let clock = Clock::new();
    let broken = |error: io::Error| Failure::refused(format_args!("the terminal can't be used: {error}"));
    let mut signals = signals().map_err(broken)?;
    let mut stops = listen(Signal::TSTP).map_err(broken)?;
    let mut continues = listen(Signal::CONT).map_err(broken)?;
    let (go_on, continued) = sync_channel(1);
    let screen = Screen::enter(continued).map_err(broken)?;
    let dashboard = Dashboard {
        model: model(args, screen.size(), clock),
        show: on(screen, theme()),
        clock,
        orders: ways.orders,
    };
    start_reading(input.clone());
    let (done, mut ended) = oneshot::channel();
    std::thread::spawn(move || {
        // Told also if it panics: then the other end finds the way closed.
        let _ = done.send(dashboard.run(ways.inputs));
    });
    let panicked = |_| Failure::refused("the dashboard broke; what it said stands above");
    loop {
        tokio::select! {
            result = &mut ended => return result.map_err(panicked)?,
            () = signals.recv() => break,
            _ = stops.recv() => put(&input, Input::Stop),
            _ = continues.recv() => {
                // Whoever did not wait for it, or was told already, needs no more.
                let _ = go_on.try_send(());
                put(&input, Input::Continued);
            }
        }
    }
    let end = async {
        // Nobody may be there to take it.
        let _ = input.send(Input::End).await;
        ended.await.map_err(panicked)?
    };
    let in_time = tokio::time::timeout(END_WITHIN, end).await;
    leave();
    in_time.unwrap_or(Ok(()))
}

/// Tells the dashboard, which may be busy, while signals are listened to.
fn put(input: &Sender<Input>, what: Input) {
    let input = input.clone();
    // Nobody may be there to take it.
    tokio::spawn(async move { input.send(what).await.is_ok() });
}

fn listen(to: Signal) -> io::Result<tokio::signal::unix::Signal> {
    signal(SignalKind::from_raw(to.as_raw()))
}

/// What ends a program from outside.
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
