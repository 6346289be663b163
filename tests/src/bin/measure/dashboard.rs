//! Measures the dashboard under load: key latency, frame rate, CPU and memory.

use std::process::ExitCode;
use std::time::Duration;

use presence_tests::Daemon;
use presence_tests::clock::Stopwatch;
use presence_tests::presencectl;
use presence_tests::process::raise_file_limit;
use presence_tests::pty::Pty;
use presence_tests::report_load::{StatusChanges, make_present, user};
use presence_tests::wait::{let_time_pass, wait_for};

use super::key_latency::{self, Latencies};

const SIZE: (u16, u16) = (120, 40);
/// The time in which CPU and frames are counted.
const MEASURED: Duration = Duration::from_secs(20);
/// The time before that, which is not counted.
const WARM_UP: Duration = Duration::from_secs(5);
/// The longest time until memory stops growing after the start.
const LOADING_MAX: Duration = Duration::from_secs(60);

/// The limit of a key's latency: one frame at 30 frames a second.
const KEY_MAX: Duration = Duration::from_millis(33);
const FRAMES_MAX: usize = 30;
const CPU_MAX: f64 = 40.0;
/// The limit of the ratio of memory per user between the second and the first half, for growth to count as linear.
const GROWTH_MAX: f64 = 1.25;

/// Runs all measurements and compares them with the limits.
pub(crate) async fn dashboard(users: usize, changes: u32) -> ExitCode {
    assert!(
        users >= 1_000 && changes >= 1,
        "at least 1000 users and a change a second"
    );
    raise_file_limit();
    println!("build          {}", super::build());
    let daemon = Daemon::start(&[]).await;
    let sizes = [0, users / 10, users / 2, users];
    let mut memory = Vec::new();
    let mut last: Option<Pty> = None;
    for step in sizes.windows(2) {
        let making = Stopwatch::start();
        make_present(&daemon, step[0]..step[1]).await;
        println!(
            "present        {} users, {:.1?} for the last {}",
            step[1],
            making.elapsed(),
            step[1] - step[0]
        );
        if let Some(pty) = last.take() {
            pty.quit(b"q").await;
        }
        let (pty, resident) = open(&daemon, step[1]).await;
        memory.push((step[1], resident));
        last = Some(pty);
    }
    let mut pty = last.unwrap();
    let is_linear = print_memory(&memory);

    let calm = key_latency::help("keys, calm", &mut pty).await;
    let made = StatusChanges::start(&daemon, users, changes).await;
    let_time_pass(WARM_UP).await;
    let (share, frames) = watch(&mut pty, &made, changes).await;
    let latencies = [
        calm,
        key_latency::help("help keys", &mut pty).await,
        key_latency::selection(&mut pty).await,
        key_latency::search(&mut pty, users).await,
    ];
    println!(
        "after all that {} KiB, and at most {} frames in any second of it",
        pty.process().resident_bytes() / 1024,
        most_in_a_second(&pty.frames())
    );
    pty.quit(b"\x03").await;
    drop(made);
    evaluate(share, frames, &latencies, is_linear)
}

/// Opens the dashboard, waits until all users are loaded, and returns its memory once that stops growing.
async fn open(daemon: &Daemon, users: usize) -> (Pty, u64) {
    let opening = Stopwatch::start();
    let mut pty = Pty::start(&presencectl::command(daemon, &["watch"]), SIZE.0, SIZE.1);
    let last = user(users - 1);
    // The last user can only be on the screen when all are loaded.
    pty.until("the first frame", |screen| screen.contents().contains(&user(0)))
        .await;
    pty.press(b"G");
    pty.until("the last user", |screen| screen.contents().contains(&last))
        .await;
    pty.press(b"g");
    pty.until("the first user", |screen| screen.contents().contains(&user(0)))
        .await;
    println!("opened         all {users} users within {:.1?}", opening.elapsed());
    let process = pty.process();
    let mut before = 0;
    let resident = wait_for("memory stops growing", LOADING_MAX, async || {
        let_time_pass(Duration::from_secs(1)).await;
        let resident = process.resident_bytes();
        let is_stable = resident.abs_diff(before) * 100 < resident;
        before = resident;
        is_stable.then_some(resident)
    })
    .await;
    (pty, resident)
}

/// Prints the memory and returns whether it grows linearly.
fn print_memory(memory: &[(usize, u64)]) -> bool {
    for (users, resident) in memory {
        println!("resident       {} KiB with {users} users", resident / 1024);
    }
    let per_user = |from: (usize, u64), to: (usize, u64)| to.1.saturating_sub(from.1) as f64 / (to.0 - from.0) as f64;
    let (first, second) = (per_user(memory[0], memory[1]), per_user(memory[1], memory[2]));
    let all = per_user(memory[0], memory[2]);
    println!("a user         {all:.0} bytes ({first:.0} in the first half, {second:.0} in the second)");
    second <= first * GROWTH_MAX
}

/// Returns the CPU in percent of a core, and the most frames within a second.
async fn watch(pty: &mut Pty, made: &StatusChanges, changes: u32) -> (f64, usize) {
    let process = pty.process();
    let (clock, cpu, before) = (Stopwatch::start(), process.cpu_time(), made.made());
    let (begun, bytes) = pty.written();
    let seen = pty.frames().len();
    let_time_pass(MEASURED).await;
    let seconds = clock.elapsed().as_secs_f64();
    let share = (process.cpu_time() - cpu).as_secs_f64() / seconds * 100.0;
    let rate = (made.made() - before) as f64 / seconds;
    let (begun, bytes) = (pty.written().0 - begun, pty.written().1 - bytes);
    println!("changes        {rate:.0} a second were made, {changes} were wanted");
    println!("CPU            {share:.1} % of a core over {seconds:.0} s");
    let frames = most_in_a_second(&pty.frames()[seen..]);
    println!(
        "frames         {:.1} a second, at most {frames} in any second, {:.1} KiB each",
        begun as f64 / seconds,
        bytes as f64 / 1024.0 / begun.max(1) as f64
    );
    (share, frames)
}

/// The most frames within any interval of one second.
fn most_in_a_second(times: &[Duration]) -> usize {
    let within = |(index, from): (usize, &Duration)| {
        times[index..]
            .iter()
            .take_while(|at| **at < *from + Duration::from_secs(1))
            .count()
    };
    times.iter().enumerate().map(within).max().unwrap_or(0)
}

fn evaluate(share: f64, frames: usize, latencies: &[Latencies], is_linear: bool) -> ExitCode {
    let mut missed = Vec::new();
    for latency in latencies {
        println!("{latency}");
        if latency.percentile_95() > KEY_MAX {
            missed.push(format!("{}: more than 5 of 100 over {KEY_MAX:?}", latency.what));
        }
    }
    if frames > FRAMES_MAX {
        missed.push(format!("{frames} frames in a second, over {FRAMES_MAX}"));
    }
    if share > CPU_MAX {
        missed.push(format!("{share:.1} % of a core, over {CPU_MAX}"));
    }
    if !is_linear {
        missed.push("memory grows faster than the number of users".to_owned());
    }
    println!("limits         a key {KEY_MAX:?}, {FRAMES_MAX} frames a second, {CPU_MAX} % of a core");
    for miss in &missed {
        println!("MISSED         {miss}");
    }
    if missed.is_empty() {
        println!("all limits are kept");
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}
