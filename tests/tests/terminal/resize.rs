//! Terminal sizes, and resizes while the dashboard runs.

use super::fixture::Fixture;
use super::screen::has_table;

#[tokio::test(flavor = "multi_thread")]
async fn the_layout_follows_every_resize() {
    let fixture = Fixture::with(&["alice", "bob"], (80, 24)).await;
    let is_whole = |screen: &str| {
        has_table(screen, |table| {
            table.row("alice").is_some() && table.row("bob").is_some()
        }) && screen.contains("search")
    };
    for (width, height) in [(120, 40), (40, 10), (200, 60), (20, 7), (80, 24)] {
        fixture.terminal.resize(width, height);
        let screen = fixture
            .terminal
            .until(&format!("alice at {width}x{height}"), |screen| {
                screen.contains("alice") && (width < 80 || is_whole(screen))
            })
            .await;
        assert!(screen.lines().count() <= usize::from(height));
    }
    fixture.terminal.resize(20, 5);
    let screen = fixture
        .terminal
        .until("20x5", |screen| screen.lines().count() <= 5 && screen.contains("Users"))
        .await;
    assert!(!screen.contains("no user"), "no room is not an empty table: {screen}");
    for (width, height) in [(1, 1), (2, 1), (1, 9), (300, 1)] {
        fixture.terminal.resize(width, height);
        // It still responds to keys and to the next resize.
        fixture.terminal.press(&["?", "Escape", "Down", "Tab", "Tab"]).await;
        fixture.terminal.resize(80, 24);
        fixture
            .terminal
            .until(&format!("whole again after {width}x{height}"), is_whole)
            .await;
    }
    fixture.terminal.keys(&["q"]);
    fixture.terminal.prompt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_starts_in_a_1x1_terminal() {
    let fixture = Fixture::before(&["alice"], (80, 24)).await;
    fixture.terminal.text("presencectl watch");
    fixture.terminal.resize(1, 1);
    fixture.terminal.keys(&["Enter"]);
    let program = fixture.terminal.program().await;
    fixture.terminal.resize(80, 24);
    fixture
        .until("alice is listed", |table| table.row("alice").is_some())
        .await;
    assert!(program.threads() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panel_zooms_to_full_screen_and_back() {
    let fixture = Fixture::with(&["alice"], (80, 24)).await;
    fixture.terminal.keys(&["Tab", "z"]);
    fixture
        .terminal
        .until("only the stream", |screen| !has_table(screen, |_| true))
        .await;
    fixture.terminal.keys(&["z"]);
    fixture
        .until("the table again", |table| table.row("alice").is_some())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_l_redraws_an_overwritten_screen() {
    let fixture = Fixture::with(&["alice"], (80, 24)).await;
    let shell = fixture.terminal.program().await.id();
    let tty = std::fs::read_link(format!("/proc/{shell}/fd/1")).unwrap();
    std::fs::write(tty, "\u{1b}[9;1Ha message to all on this machine").unwrap();
    fixture.terminal.shows("a message to all").await;
    fixture.terminal.keys(&["C-l"]);
    fixture
        .terminal
        .until("only the dashboard", |screen| {
            !screen.contains("message") && has_table(screen, |table| table.row("alice").is_some())
        })
        .await;
}
