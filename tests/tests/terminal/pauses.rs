//! The stream, and holding it still.

use serde_json::Value;

use super::reading::has_table;
use super::scene::Scene;

const LARGE: (u16, u16) = (120, 40);

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_listed_with_from_to_and_reason() {
    let scene = Scene::with(&["alice"], LARGE).await;
    scene.daemon.rest().choose("alice", "IDLE").await;
    scene
        .terminal
        .until("alice's change in the stream", |screen| {
            screen
                .lines()
                .any(|line| line.contains("alice") && line.contains('→') && line.contains("custom"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_freezes_the_stream_and_counts_changes() {
    let scene = Scene::with(&["alice", "bob"], LARGE).await;
    scene.terminal.text(" ");
    scene
        .terminal
        .until("it says so", |screen| screen.to_lowercase().contains("paused"))
        .await;
    for turn in 0..12 {
        let choice = ["IDLE", "ONLINE"][turn % 2];
        scene.daemon.rest().choose("alice", choice).await.ok::<Value>();
    }
    scene.report("late", "ONLINE").await;
    // Twelve changes and one who came wait.
    let screen = scene
        .terminal
        .until("what waits is counted", |screen| screen.contains("13 newer"))
        .await;
    assert!(!screen.contains("late"), "{screen}");
    assert!(has_table(&screen, |table| table.users() == ["alice", "bob"]));
    scene.terminal.text(" ");
    scene.until("and on it goes", |table| table.row("late").is_some()).await;
    let screen = scene
        .terminal
        .until("no longer paused", |screen| !screen.to_lowercase().contains("paused"))
        .await;
    let changes = screen
        .lines()
        .filter(|line| line.contains("alice") && line.contains('→'))
        .count();
    assert!(changes >= 12, "nothing is lost: {screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_scrolls_back() {
    let scene = Scene::before(&[], (80, 24)).await;
    scene.watch("presencectl watch", &[]).await;
    scene.terminal.shows("search").await;
    scene.report("the-first", "ONLINE").await;
    scene.until("the first", |table| table.row("the-first").is_some()).await;
    for number in 0..40 {
        scene.report(&format!("later-{number:02}"), "ONLINE").await;
    }
    let in_stream = |screen: &str, user: &str| screen.lines().any(|line| line.contains(user) && line.contains('→'));
    scene
        .terminal
        .until("the last", |screen| {
            in_stream(screen, "later-39") && !in_stream(screen, "the-first")
        })
        .await;
    scene.terminal.keys(&["Tab", "g"]);
    scene
        .terminal
        .until("the first", |screen| in_stream(screen, "the-first"))
        .await;
    scene.report("while-reading", "ONLINE").await;
    scene.terminal.keys(&["Down", "Up"]);
    scene
        .terminal
        .until("the first stays", |screen| in_stream(screen, "the-first"))
        .await;
    scene.terminal.keys(&["G"]);
    scene
        .terminal
        .until("the newest", |screen| in_stream(screen, "while-reading"))
        .await;
}
