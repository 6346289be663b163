//! The terminal is restored however the dashboard ends: its modes, its line discipline, its screen.

use std::path::Path;

use presence_tests::process::Process;
use presence_tests::wait_until;

use super::fixture::Fixture;

const SIZE: (u16, u16) = (80, 24);

/// Starts the dashboard in several states, ends it in this way, checks that the terminal is restored, and returns the
/// exit code.
async fn assert_restored(end: impl AsyncFn(&Fixture, Process)) -> String {
    let fixture = Fixture::before(&["alice", "bob"], SIZE).await;
    let before = fixture.terminal.modes().await;
    fixture.terminal.line("echo before-the-dashboard");
    fixture.terminal.prompt().await;
    fixture.watch("presencectl watch", &["alice", "bob"]).await;
    assert!(!fixture.terminal.screen().contains("before-the-dashboard"));
    let program = fixture.terminal.program().await;
    fixture.terminal.keys(&["Down", "Enter", "?"]);
    fixture.terminal.shows("In all panels").await;
    fixture.terminal.press(&["Escape"]).await;
    end(&fixture, program).await;
    fixture.terminal.prompt().await;
    let screen = fixture.terminal.screen();
    assert!(
        screen.contains("before-the-dashboard"),
        "what was there is there again: {screen}"
    );
    assert!(!screen.contains("STATUS"), "and nothing of the dashboard: {screen}");
    let code = fixture.terminal.ask_shell("echo $?").await;
    assert_eq!(fixture.terminal.modes().await, before);
    code.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn q_restores_the_terminal() {
    assert_eq!(
        assert_restored(async |fixture, _| fixture.terminal.keys(&["q"])).await,
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_restores_the_terminal() {
    assert_eq!(
        assert_restored(async |fixture, _| fixture.terminal.keys(&["C-c"])).await,
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_a_text_input_restores_the_terminal() {
    assert_restored(async |fixture, _| {
        fixture.terminal.text("/al");
        fixture.terminal.keys(&["C-c"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_restores_the_terminal() {
    assert_restored(async |_, program| program.terminate()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_restores_the_terminal() {
    assert_restored(async |_, program| program.interrupt()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigquit_restores_the_terminal() {
    assert_restored(async |_, program| program.quit()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_terminal_ends_the_dashboard() {
    let fixture = Fixture::with(&["alice"], SIZE).await;
    let program = fixture.terminal.program().await;
    drop(fixture.terminal);
    wait_until("it has ended", async || {
        (!Path::new(&format!("/proc/{}", program.id())).exists()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quitting_without_a_daemon_restores_the_terminal() {
    let mut fixture = Fixture::before(&["alice"], SIZE).await;
    let before = fixture.terminal.modes().await;
    fixture.watch("presencectl watch", &["alice"]).await;
    fixture.daemon.kill();
    fixture.terminal.shows("STALE").await;
    quit_and_left(&fixture, before).await;
}

/// Starts the dashboard as a job of a shell; returns the terminal modes before it.
async fn watching_as_a_job() -> (Fixture, String) {
    let fixture = Fixture::before(&["alice"], SIZE).await;
    fixture.terminal.line("set -m");
    fixture.terminal.prompt().await;
    let before = fixture.terminal.modes().await;
    fixture.watch("presencectl watch", &["alice"]).await;
    (fixture, before)
}

async fn quit_and_left(fixture: &Fixture, before: String) {
    fixture.terminal.keys(&["q"]);
    fixture.terminal.prompt().await;
    assert_eq!(fixture.terminal.modes().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_z_restores_the_terminal_and_fg_redraws() {
    let (fixture, before) = watching_as_a_job().await;
    for _ in 0..2 {
        fixture.terminal.keys(&["C-z"]);
        fixture.terminal.prompt().await;
        assert_eq!(fixture.terminal.modes().await, before);
        fixture.watch("fg", &["alice"]).await;
        fixture.terminal.shows("search").await;
        // Keys and mouse work as before.
        fixture.terminal.text("/al");
        fixture.terminal.shows("al").await;
        fixture.terminal.press(&["Escape"]).await;
    }
    quit_and_left(&fixture, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigtstp_restores_the_terminal_and_fg_redraws() {
    let (fixture, before) = watching_as_a_job().await;
    for _ in 0..2 {
        fixture.terminal.program().await.suspend();
        fixture.terminal.prompt().await;
        assert_eq!(fixture.terminal.modes().await, before);
        fixture.watch("fg", &["alice"]).await;
        fixture.terminal.text("/al");
        fixture.terminal.shows("al").await;
        fixture.terminal.press(&["Escape"]).await;
    }
    quit_and_left(&fixture, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fg_redraws_after_sigstop() {
    let (fixture, before) = watching_as_a_job().await;
    fixture.terminal.program().await.stop();
    fixture.terminal.shows("Stopped").await;
    // As shells with line editing do; until then Enter does not end a line.
    fixture.terminal.text("stty sane; clear");
    fixture.terminal.keys(&["C-j"]);
    fixture
        .terminal
        .until("the next prompt", |screen| !screen.contains("Stopped"))
        .await;
    fixture.terminal.line("fg");
    let is_whole = |screen: &str| !screen.contains("Stopped") && screen.contains("alice");
    fixture.terminal.until("it is drawn anew", is_whole).await;
    fixture.terminal.text("/al");
    fixture.terminal.shows("/al").await;
    fixture.terminal.press(&["Escape"]).await;
    quit_and_left(&fixture, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_leaves_the_terminal_unchanged() {
    let fixture = Fixture::before(&[], SIZE).await;
    let before = fixture.terminal.modes().await;
    for command in [
        "presencectl watch --no-such-flag",
        "presencectl --secret-file /nowhere watch",
        "presencectl --context nowhere watch",
        "presencectl watch </dev/null | cat",
    ] {
        let said = fixture.terminal.ask_shell(&format!("timeout 20 {command}")).await;
        assert!(!said.contains('\u{1b}'), "{command}: {said:?}");
        assert_eq!(fixture.terminal.modes().await, before, "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_detects_a_changed_terminal_mode() {
    let fixture = Fixture::before(&[], SIZE).await;
    let before = fixture.terminal.modes().await;
    assert_eq!(fixture.terminal.modes().await, before, "nothing happened");
    for (mode, reset) in [
        ("1000", 'h'),
        ("1002", 'h'),
        ("1003", 'h'),
        ("1004", 'h'),
        ("1006", 'h'),
        ("2004", 'h'),
        ("25", 'l'),
    ] {
        let back = if reset == 'h' { 'l' } else { 'h' };
        fixture
            .terminal
            .ask_on_screen(&format!(r"printf '\033[?{mode}{reset}'"))
            .await;
        assert_ne!(fixture.terminal.modes().await, before, "{mode}");
        fixture
            .terminal
            .ask_on_screen(&format!(r"printf '\033[?{mode}{back}'"))
            .await;
        assert_eq!(fixture.terminal.modes().await, before, "{mode}");
    }
    for setting in ["-echo", "-icanon", "-isig", "-opost"] {
        fixture.terminal.ask_on_screen(&format!("stty {setting}")).await;
        assert_ne!(fixture.terminal.modes().await, before, "{setting}");
        fixture.terminal.ask_on_screen(&format!("stty {}", &setting[1..])).await;
    }
    assert_eq!(fixture.terminal.modes().await, before);
}
