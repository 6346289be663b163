//! The dashboard when the daemon stops, hangs and restarts.

use std::time::Duration;

use presence_tests::wait::timed;

use super::fixture::Fixture;
use super::screen::has_table;

/// The time after a restart of the daemon within which the dashboard is up to date.
const RECONNECTED: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_daemon_leaves_the_last_screen_until_it_returns() {
    for size in [(80, 24), (120, 40)] {
        let mut fixture = Fixture::with(&["alice", "bob"], size).await;
        fixture.report("reported", "ONLINE").await;
        fixture
            .until("the reported one", |table| table.row("reported").is_some())
            .await;
        fixture.daemon.kill();
        let stale = |screen: &str| screen.lines().find(|line| line.contains("STALE")).map(str::to_owned);
        let screen = fixture
            .terminal
            .until("the picture is marked", |screen| stale(screen).is_some())
            .await;
        assert!(
            has_table(&screen, |table| table.users() == ["alice", "bob", "reported"]),
            "{screen}"
        );
        let first = stale(&screen).unwrap();
        fixture
            .terminal
            .until("its age grows", |screen| {
                stale(screen).is_some_and(|line| line != first && line.chars().any(|c| c.is_ascii_digit()))
            })
            .await;
        // Keys work, and a failed action shows an error.
        fixture.terminal.keys(&["Down"]);
        fixture.terminal.text("c");
        fixture.terminal.shows("not connected").await;

        fixture.daemon.start_again().await;
        let ((), took) = timed(async {
            // A new user, which only a fresh snapshot can show.
            fixture.report("newcomer", "IDLE").await;
            fixture
                .terminal
                .until("all is right again", |screen| {
                    stale(screen).is_none() && has_table(screen, |table| table.row_contains("newcomer", "IDLE"))
                })
                .await;
        })
        .await;
        assert!(took < RECONNECTED, "took {took:?}");
        fixture.report("newcomer", "ONLINE").await;
        fixture
            .until("and goes on", |table| table.row_contains("newcomer", "ONLINE"))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_reconnects_after_a_clean_restart() {
    let mut fixture = Fixture::with(&["alice"], (80, 24)).await;
    for number in 0..5 {
        assert!(fixture.daemon.terminate().await.success());
        fixture.daemon.start_again().await;
        let newcomer = format!("newcomer-{number}");
        let ((), took) = timed(async {
            fixture.report(&newcomer, "ONLINE").await;
            fixture
                .terminal
                .until("all is right again", |screen| {
                    !screen.contains("STALE") && has_table(screen, |table| table.row(&newcomer).is_some())
                })
                .await;
        })
        .await;
        assert!(took < RECONNECTED, "took {took:?} the {number}th time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_reconnects_after_a_long_outage() {
    let mut fixture = Fixture::with(&["alice"], (80, 24)).await;
    fixture.daemon.kill();
    // The delays between attempts have grown by then.
    fixture
        .terminal
        .until("stale for a while", |screen| {
            screen
                .lines()
                .find(|line| line.contains("STALE"))
                .is_some_and(|line| (12..30).any(|seconds| line.contains(&format!("{seconds}s"))))
        })
        .await;
    fixture.daemon.start_again().await;
    let right = fixture
        .terminal
        .until("all is right again", |screen| !screen.contains("STALE"));
    let (_, took) = timed(right).await;
    assert!(took < RECONNECTED, "took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_retries_and_says_if_there_is_no_need() {
    let mut fixture = Fixture::with(&["alice"], (80, 24)).await;
    fixture.daemon.kill();
    fixture.terminal.shows("STALE").await;
    fixture.daemon.start_again().await;
    fixture.terminal.text("R");
    fixture
        .terminal
        .until("all is right again", |screen| !screen.contains("STALE"))
        .await;
    fixture.terminal.text("R");
    fixture.terminal.shows("already connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_the_dashboard_says_how_to_start_one() {
    let mut fixture = Fixture::before(&[], (80, 24)).await;
    let before = fixture.terminal.modes().await;
    fixture.daemon.kill();
    fixture.terminal.line("presencectl watch");
    fixture.terminal.shows("start the daemon").await;
    fixture.terminal.prompt().await;
    assert_eq!(fixture.terminal.modes().await, before);
}
