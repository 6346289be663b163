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
    scene.terminal.shows("In all panels").await;
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
async fn after_q() {
    assert_eq!(left_as_it_was(async |scene, _| scene.terminal.keys(&["q"])).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_ctrl_c() {
    assert_eq!(
        left_as_it_was(async |scene, _| scene.terminal.keys(&["C-c"])).await,
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_ctrl_c_while_something_is_typed() {
    left_as_it_was(async |scene, _| {
        scene.terminal.text("/al");
        scene.terminal.keys(&["C-c"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigterm() {
    left_as_it_was(async |_, program| program.terminate()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigint() {
    left_as_it_was(async |_, program| program.interrupt()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigquit() {
    left_as_it_was(async |_, program| program.quit()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_its_terminal() {
    let scene = Scene::with(&["alice"], SIZE).await;
    let program = scene.terminal.program().await;
    drop(scene.terminal);
    wait_until("it has ended", async || {
        (!Path::new(&format!("/proc/{}", program.id())).exists()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_daemon_is_gone() {
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
async fn while_it_is_suspended_and_it_comes_back_whole() {
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
async fn while_somebody_outside_suspends_it() {
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
async fn after_it_was_stopped_without_a_word_it_is_whole_again() {
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
async fn nothing_of_it_is_left_when_it_can_t_start() {
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
async fn a_terminal_left_in_disorder_would_be_noticed() {
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
