//! The daemon goes away and comes back.

use std::time::Duration;

use presence_tests::clock::Stopwatch;

use super::reading::has_table;
use super::scene::Scene;

/// After a restart of the daemon all is right again within this.
const RIGHT_AGAIN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_daemon_leaves_the_last_picture_with_its_age_and_its_return_makes_it_right() {
    for size in [(80, 24), (120, 40)] {
        let mut scene = Scene::with(&["alice", "bob"], size).await;
        scene.report("reported", "ONLINE").await;
        scene
            .until("the reported one", |table| table.row("reported").is_some())
            .await;
        scene.daemon.kill();
        let stale = |screen: &str| screen.lines().find(|line| line.contains("STALE")).map(str::to_owned);
        let screen = scene
            .terminal
            .until("the picture is marked", |screen| stale(screen).is_some())
            .await;
        assert!(
            has_table(&screen, |table| table.users() == ["alice", "bob", "reported"]),
            "{screen}"
        );
        let first = stale(&screen).unwrap();
        scene
            .terminal
            .until("its age grows", |screen| {
                stale(screen).is_some_and(|line| line != first && line.chars().any(|c| c.is_ascii_digit()))
            })
            .await;
        // Keys work, and what can't be done is said.
        scene.terminal.keys(&["Down"]);
        scene.terminal.text("c");
        scene.terminal.shows("not connected").await;

        scene.daemon.start_again().await;
        let ready = Stopwatch::start();
        // Somebody new, whom only a fresh picture can show.
        scene.report("newcomer", "IDLE").await;
        scene
            .terminal
            .until("all is right again", |screen| {
                stale(screen).is_none() && has_table(screen, |table| table.says("newcomer", "IDLE"))
            })
            .await;
        let took = ready.elapsed();
        assert!(took < RIGHT_AGAIN, "took {took:?}");
        scene.report("newcomer", "ONLINE").await;
        scene
            .until("and goes on", |table| table.says("newcomer", "ONLINE"))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_restarted_in_order_is_found_again_as_soon() {
    let mut scene = Scene::with(&["alice"], (80, 24)).await;
    for number in 0..5 {
        assert!(scene.daemon.terminate().await.success());
        scene.daemon.start_again().await;
        let ready = Stopwatch::start();
        let newcomer = format!("newcomer-{number}");
        scene.report(&newcomer, "ONLINE").await;
        scene
            .terminal
            .until("all is right again", |screen| {
                !screen.contains("STALE") && has_table(screen, |table| table.row(&newcomer).is_some())
            })
            .await;
        let took = ready.elapsed();
        assert!(took < RIGHT_AGAIN, "took {took:?} the {number}th time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_absence_it_is_right_again_as_soon() {
    let mut scene = Scene::with(&["alice"], (80, 24)).await;
    scene.daemon.kill();
    // By then the delays between attempts have grown.
    scene
        .terminal
        .until("stale for a while", |screen| {
            screen
                .lines()
                .find(|line| line.contains("STALE"))
                .is_some_and(|line| (12..30).any(|seconds| line.contains(&format!("{seconds}s"))))
        })
        .await;
    scene.daemon.start_again().await;
    let ready = Stopwatch::start();
    scene
        .terminal
        .until("all is right again", |screen| !screen.contains("STALE"))
        .await;
    let took = ready.elapsed();
    assert!(took < RIGHT_AGAIN, "took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_hangs_is_noticed_and_a_key_tries_at_once() {
    let mut scene = Scene::with(&["alice"], (80, 24)).await;
    scene.daemon.kill();
    scene.terminal.shows("STALE").await;
    scene.daemon.start_again().await;
    scene.terminal.text("R");
    scene
        .terminal
        .until("all is right again", |screen| !screen.contains("STALE"))
        .await;
    scene.terminal.text("R");
    scene.terminal.shows("already connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_it_says_how_to_start_one() {
    let mut scene = Scene::before(&[], (80, 24)).await;
    let before = scene.terminal.modes().await;
    scene.daemon.kill();
    scene.terminal.line("presencectl watch");
    scene.terminal.shows("start the daemon").await;
    scene.terminal.prompt().await;
    assert_eq!(scene.terminal.modes().await, before);
}
