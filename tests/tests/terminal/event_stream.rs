//! The stream of changes, and pausing it.

use serde_json::Value;

use super::fixture::Fixture;
use super::screen::has_table;

const LARGE: (u16, u16) = (120, 40);

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_listed_with_from_to_and_reason() {
    let fixture = Fixture::with(&["alice"], LARGE).await;
    fixture.daemon.rest().set_custom_status("alice", "IDLE").await;
    fixture
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
    let fixture = Fixture::with(&["alice", "bob"], LARGE).await;
    fixture.terminal.text(" ");
    fixture
        .terminal
        .until("it says so", |screen| screen.to_lowercase().contains("paused"))
        .await;
    // One after the other: changes of a user that meet on the way to a watcher are conflated.
    for turn in 0..12 {
        let custom = ["IDLE", "ONLINE"][turn % 2];
        fixture
            .daemon
            .rest()
            .set_custom_status("alice", custom)
            .await
            .ok::<Value>();
        let newer = format!(" {} newer", turn + 1);
        fixture
            .terminal
            .until("the change is counted", |screen| screen.contains(&newer))
            .await;
    }
    fixture.report("late", "ONLINE").await;
    let screen = fixture
        .terminal
        .until("what waits is counted", |screen| screen.contains(" 13 newer"))
        .await;
    assert!(!screen.contains("late"), "{screen}");
    assert!(has_table(&screen, |table| table.users() == ["alice", "bob"]));
    fixture.terminal.text(" ");
    fixture
        .until("and on it goes", |table| table.row("late").is_some())
        .await;
    let screen = fixture
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
    let fixture = Fixture::before(&[], (80, 24)).await;
    fixture.watch("presencectl watch", &[]).await;
    fixture.terminal.shows("search").await;
    fixture.report("the-first", "ONLINE").await;
    fixture
        .until("the first", |table| table.row("the-first").is_some())
        .await;
    for number in 0..40 {
        fixture.report(&format!("later-{number:02}"), "ONLINE").await;
    }
    let in_stream = |screen: &str, user: &str| screen.lines().any(|line| line.contains(user) && line.contains('→'));
    fixture
        .terminal
        .until("the last", |screen| {
            in_stream(screen, "later-39") && !in_stream(screen, "the-first")
        })
        .await;
    fixture.terminal.keys(&["Tab", "g"]);
    fixture
        .terminal
        .until("the first", |screen| in_stream(screen, "the-first"))
        .await;
    fixture.report("while-reading", "ONLINE").await;
    fixture.terminal.keys(&["Down", "Up"]);
    fixture
        .terminal
        .until("the first stays", |screen| in_stream(screen, "the-first"))
        .await;
    fixture.terminal.keys(&["G"]);
    fixture
        .terminal
        .until("the newest", |screen| in_stream(screen, "while-reading"))
        .await;
}
