//! Any size, and any change of it while it runs.

use super::reading::has_table;
use super::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn it_fits_whatever_the_size_becomes_and_comes_back_whole() {
    let scene = Scene::with(&["alice", "bob"], (80, 24)).await;
    let is_whole = |screen: &str| {
        has_table(screen, |table| {
            table.row("alice").is_some() && table.row("bob").is_some()
        }) && screen.contains("search")
    };
    for (width, height) in [(120, 40), (40, 10), (200, 60), (20, 7), (80, 24)] {
        scene.terminal.resize(width, height);
        let screen = scene
            .terminal
            .until(&format!("alice at {width}x{height}"), |screen| {
                screen.contains("alice") && (width < 80 || is_whole(screen))
            })
            .await;
        assert!(screen.lines().count() <= usize::from(height));
    }
    scene.terminal.resize(20, 5);
    let screen = scene
        .terminal
        .until("20x5", |screen| screen.lines().count() <= 5 && screen.contains("Users"))
        .await;
    assert!(!screen.contains("no user"), "no room is not an empty table: {screen}");
    for (width, height) in [(1, 1), (2, 1), (1, 9), (300, 1)] {
        scene.terminal.resize(width, height);
        // It still lives: keys are taken and the next size is drawn.
        scene.terminal.press(&["?", "Escape", "Down", "Tab", "Tab"]).await;
        scene.terminal.resize(80, 24);
        scene
            .terminal
            .until(&format!("whole again after {width}x{height}"), is_whole)
            .await;
    }
    scene.terminal.keys(&["q"]);
    scene.terminal.prompt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_in_the_smallest_terminal_there_is() {
    let scene = Scene::before(&["alice"], (80, 24)).await;
    scene.terminal.text("presencectl watch");
    scene.terminal.resize(1, 1);
    scene.terminal.keys(&["Enter"]);
    let program = scene.terminal.program().await;
    scene.terminal.resize(80, 24);
    scene
        .until("alice is listed", |table| table.row("alice").is_some())
        .await;
    assert!(program.threads() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panel_fills_the_screen_and_goes_back() {
    let scene = Scene::with(&["alice"], (80, 24)).await;
    scene.terminal.keys(&["Tab", "z"]);
    scene
        .terminal
        .until("only the stream", |screen| !has_table(screen, |_| true))
        .await;
    scene.terminal.keys(&["z"]);
    scene
        .until("the table again", |table| table.row("alice").is_some())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_something_else_wrote_over_it_is_gone_after_a_key() {
    let scene = Scene::with(&["alice"], (80, 24)).await;
    let shell = scene.terminal.program().await.id();
    let tty = std::fs::read_link(format!("/proc/{shell}/fd/1")).unwrap();
    std::fs::write(tty, "\u{1b}[9;1Ha message to all on this machine").unwrap();
    scene.terminal.shows("a message to all").await;
    scene.terminal.keys(&["C-l"]);
    scene
        .terminal
        .until("only the dashboard", |screen| {
            !screen.contains("message") && has_table(screen, |table| table.row("alice").is_some())
        })
        .await;
}
