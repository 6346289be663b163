//! However it ends, the terminal is as it was: its modes, its driver, what was on its screen.

use std::path::Path;

use presence_tests::process::Process;
use presence_tests::wait_until;

use super::scene::Scene;

const SIZE: (u16, u16) = (80, 24);

/// Starts it in every kind of use, ends it in this way, and looks at what is left; its exit code.
async fn left_as_it_was(end: impl AsyncFn(&Scene, Process)) -> String {
    let scene = Scene::before(&["alice", "bob"], SIZE).await;
    let before = scene.terminal.modes().await;
    scene.terminal.line("echo before-the-dashboard");
    scene.terminal.prompt().await;
    scene.watch("presencectl watch", &["alice", "bob"]).await;
    assert!(!scene.terminal.screen().contains("before-the-dashboard"));
    let program = scene.terminal.program().await;
    scene.terminal.keys(&["Down", "Enter", "?"]);
    scene.terminal.shows("In every panel").await;
    scene.terminal.press(&["Escape"]).await;
    end(&scene, program).await;
    scene.terminal.prompt().await;
    let screen = scene.terminal.screen();
    assert!(
        screen.contains("before-the-dashboard"),
        "what was there is there again: {screen}"
    );
    assert!(!screen.contains("STATUS"), "and nothing of the dashboard: {screen}");
    let code = scene.terminal.ask_shell("echo $?").await;
    assert_eq!(scene.terminal.modes().await, before);
    code.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn q_restores_the_terminal() {
    assert_eq!(left_as_it_was(async |scene, _| scene.terminal.keys(&["q"])).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_restores_the_terminal() {
    assert_eq!(
        left_as_it_was(async |scene, _| scene.terminal.keys(&["C-c"])).await,
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_a_text_input_restores_the_terminal() {
    left_as_it_was(async |scene, _| {
        scene.terminal.text("/al");
        scene.terminal.keys(&["C-c"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_restores_the_terminal() {
    left_as_it_was(async |_, program| program.terminate()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_restores_the_terminal() {
    left_as_it_was(async |_, program| program.interrupt()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigquit_restores_the_terminal() {
    left_as_it_was(async |_, program| program.quit()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_terminal_ends_the_dashboard() {
    let scene = Scene::with(&["alice"], SIZE).await;
    let program = scene.terminal.program().await;
    drop(scene.terminal);
    wait_until("it has ended", async || {
        (!Path::new(&format!("/proc/{}", program.id())).exists()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quitting_without_a_daemon_restores_the_terminal() {
    let mut scene = Scene::before(&["alice"], SIZE).await;
    let before = scene.terminal.modes().await;
    scene.watch("presencectl watch", &["alice"]).await;
    scene.daemon.kill();
    scene.terminal.shows("STALE").await;
    quit_and_left(&scene, before).await;
}

/// The dashboard in a shell that can stop it and bring it back, and the modes before it.
async fn watching_as_a_job() -> (Scene, String) {
    let scene = Scene::before(&["alice"], SIZE).await;
    scene.terminal.line("set -m");
    scene.terminal.prompt().await;
    let before = scene.terminal.modes().await;
    scene.watch("presencectl watch", &["alice"]).await;
    (scene, before)
}

async fn quit_and_left(scene: &Scene, before: String) {
    scene.terminal.keys(&["q"]);
    scene.terminal.prompt().await;
    assert_eq!(scene.terminal.modes().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_z_restores_the_terminal_and_fg_redraws() {
    let (scene, before) = watching_as_a_job().await;
    for _ in 0..2 {
        scene.terminal.keys(&["C-z"]);
        scene.terminal.prompt().await;
        assert_eq!(scene.terminal.modes().await, before);
        scene.watch("fg", &["alice"]).await;
        scene.terminal.shows("search").await;
        // Keys and mouse are taken as before.
        scene.terminal.text("/al");
        scene.terminal.shows("al").await;
        scene.terminal.press(&["Escape"]).await;
    }
    quit_and_left(&scene, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigtstp_restores_the_terminal_and_fg_redraws() {
    let (scene, before) = watching_as_a_job().await;
    for _ in 0..2 {
        scene.terminal.program().await.suspend();
        scene.terminal.prompt().await;
        assert_eq!(scene.terminal.modes().await, before);
        scene.watch("fg", &["alice"]).await;
        scene.terminal.text("/al");
        scene.terminal.shows("al").await;
        scene.terminal.press(&["Escape"]).await;
    }
    quit_and_left(&scene, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fg_redraws_after_sigstop() {
    let (scene, before) = watching_as_a_job().await;
    scene.terminal.program().await.halt();
    scene.terminal.shows("Stopped").await;
    // As shells with a line of their own do; until then Enter is no end of a line.
    scene.terminal.text("stty sane");
    scene.terminal.keys(&["C-j"]);
    scene.terminal.line("fg");
    let is_whole = |screen: &str| !screen.contains("Stopped") && screen.contains("alice");
    scene.terminal.until("it is drawn anew", is_whole).await;
    scene.terminal.text("/al");
    scene.terminal.shows("/al").await;
    scene.terminal.press(&["Escape"]).await;
    quit_and_left(&scene, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_leaves_the_terminal_unchanged() {
    let scene = Scene::before(&[], SIZE).await;
    let before = scene.terminal.modes().await;
    for command in [
        "presencectl watch --no-such-flag",
        "presencectl --secret-file /nowhere watch",
        "presencectl --context nowhere watch",
        "presencectl watch </dev/null | cat",
    ] {
        let said = scene.terminal.ask_shell(&format!("timeout 20 {command}")).await;
        assert!(!said.contains('\u{1b}'), "{command}: {said:?}");
        assert_eq!(scene.terminal.modes().await, before, "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_detects_a_changed_terminal_mode() {
    let scene = Scene::before(&[], SIZE).await;
    let before = scene.terminal.modes().await;
    assert_eq!(scene.terminal.modes().await, before, "nothing happened");
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
        scene
            .terminal
            .ask_on_screen(&format!(r"printf '\033[?{mode}{reset}'"))
            .await;
        assert_ne!(scene.terminal.modes().await, before, "{mode}");
        scene
            .terminal
            .ask_on_screen(&format!(r"printf '\033[?{mode}{back}'"))
            .await;
        assert_eq!(scene.terminal.modes().await, before, "{mode}");
    }
    for setting in ["-echo", "-icanon", "-isig", "-opost"] {
        scene.terminal.ask_on_screen(&format!("stty {setting}")).await;
        assert_ne!(scene.terminal.modes().await, before, "{setting}");
        scene.terminal.ask_on_screen(&format!("stty {}", &setting[1..])).await;
    }
    assert_eq!(scene.terminal.modes().await, before);
}
