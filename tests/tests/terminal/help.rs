//! The help and the command palette.

use super::fixture::Fixture;
use super::screen::has_table;

#[tokio::test(flavor = "multi_thread")]
async fn the_help_lists_keys_of_every_panel_and_scrolls() {
    for size in [(80, 24), (120, 40), (200, 120)] {
        let fixture = Fixture::with(&["alice"], size).await;
        fixture.terminal.keys(&["?"]);
        let mut seen = fixture.terminal.shows("In all panels").await;
        while !seen.contains("In the help") {
            let before = fixture.terminal.screen();
            fixture.terminal.keys(&["NPage"]);
            seen += &fixture.terminal.until("further down", |screen| screen != before).await;
        }
        for known in ["search for a user", "kick", "Ctrl-C", "PgDn", "Space"] {
            assert!(seen.contains(known), "{known}");
        }
        for close in ["Escape", "?", "q", "F1"] {
            fixture.terminal.press(&[close]).await;
            fixture
                .until("the help is closed", |table| table.row("alice").is_some())
                .await;
            fixture
                .terminal
                .until("the help is closed", |screen| !screen.contains("In all panels"))
                .await;
            fixture.terminal.keys(&["F1"]);
            fixture.terminal.shows("In all panels").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_palette_finds_and_runs_a_command() {
    let fixture = Fixture::with(&["alice", "bob"], (80, 24)).await;
    fixture.daemon.rest().set_custom_status("bob", "IDLE").await;
    fixture
        .until("bob is idle", |table| table.row_contains("bob", "IDLE"))
        .await;
    fixture.terminal.text(":");
    fixture.terminal.shows("explain: why").await;
    fixture.terminal.text("only ");
    fixture.terminal.shows("filter: ONLINE only").await;
    fixture.terminal.text("idle");
    fixture
        .terminal
        .until("one is found", |screen| {
            screen.contains("filter: IDLE only") && !screen.contains("filter: ONLINE only")
        })
        .await;
    fixture.terminal.keys(&["Enter"]);
    fixture.until("only bob", |table| table.users() == ["bob"]).await;
    fixture.terminal.keys(&["C-p"]);
    fixture.terminal.text("all present");
    fixture.terminal.shows("filter: all present users").await;
    fixture.terminal.keys(&["Enter"]);
    fixture.until("both", |table| table.users().len() == 2).await;
    fixture.terminal.text(":sort by sess");
    fixture.terminal.shows("sort by sessions").await;
    fixture.terminal.press(&["Escape"]).await;
    fixture
        .terminal
        .until("closed", |screen| {
            !screen.contains("sort by sessions") && has_table(screen, |table| table.users().len() == 2)
        })
        .await;
    fixture.terminal.text(":quit");
    fixture.terminal.keys(&["Enter"]);
    fixture.terminal.prompt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pasted_text_is_a_search_and_no_command() {
    let fixture = Fixture::with(&["alice", "quinn"], (80, 24)).await;
    fixture.terminal.text("/");
    fixture.terminal.paste("quinn\nKy");
    fixture.terminal.keys(&["C-u"]);
    fixture.terminal.paste("quinn");
    fixture
        .until("quinn is found", |table| table.users() == ["quinn"])
        .await;
    fixture.terminal.press(&["Escape"]).await;
    fixture.until("both", |table| table.users().len() == 2).await;
    // Outside a text input, pasted text triggers no keys.
    fixture.terminal.paste("Kyq");
    fixture.terminal.keys(&["Down"]);
    fixture.terminal.text("y");
    fixture.terminal.shows("copied \"alice\"").await;
    assert_eq!(
        fixture.daemon.rest().record("alice").await.status,
        presence::Status::Online
    );
}
