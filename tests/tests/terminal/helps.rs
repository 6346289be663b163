//! Help and palette: how one learns what can be done.

use super::reading::has_table;
use super::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn the_help_lists_keys_of_every_panel_and_scrolls() {
    for size in [(80, 24), (120, 40), (200, 120)] {
        let scene = Scene::with(&["alice"], size).await;
        scene.terminal.keys(&["?"]);
        let mut seen = scene.terminal.shows("In all panels").await;
        while !seen.contains("In the help") {
            let before = scene.terminal.screen();
            scene.terminal.keys(&["NPage"]);
            seen += &scene.terminal.until("further down", |screen| screen != before).await;
        }
        for known in ["search for a user", "kick", "Ctrl-C", "PgDn", "Space"] {
            assert!(seen.contains(known), "{known}");
        }
        for close in ["Escape", "?", "q", "F1"] {
            scene.terminal.press(&[close]).await;
            scene
                .until("the help is closed", |table| table.row("alice").is_some())
                .await;
            scene
                .terminal
                .until("the help is closed", |screen| !screen.contains("In all panels"))
                .await;
            scene.terminal.keys(&["F1"]);
            scene.terminal.shows("In all panels").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_palette_finds_a_command_by_a_word_and_does_it() {
    let scene = Scene::with(&["alice", "bob"], (80, 24)).await;
    scene.daemon.rest().choose("bob", "IDLE").await;
    scene.until("bob is idle", |table| table.says("bob", "IDLE")).await;
    scene.terminal.text(":");
    scene.terminal.shows("explain: why").await;
    scene.terminal.text("only ");
    scene.terminal.shows("filter: ONLINE only").await;
    scene.terminal.text("idle");
    scene
        .terminal
        .until("one is found", |screen| {
            screen.contains("filter: IDLE only") && !screen.contains("filter: ONLINE only")
        })
        .await;
    scene.terminal.keys(&["Enter"]);
    scene.until("only bob", |table| table.users() == ["bob"]).await;
    scene.terminal.keys(&["C-p"]);
    scene.terminal.text("all present");
    scene.terminal.shows("filter: all present users").await;
    scene.terminal.keys(&["Enter"]);
    scene.until("both", |table| table.users().len() == 2).await;
    scene.terminal.text(":sort by sess");
    scene.terminal.shows("sort by sessions").await;
    scene.terminal.press(&["Escape"]).await;
    scene
        .terminal
        .until("closed", |screen| {
            !screen.contains("sort by sessions") && has_table(screen, |table| table.users().len() == 2)
        })
        .await;
    scene.terminal.text(":quit");
    scene.terminal.keys(&["Enter"]);
    scene.terminal.prompt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pasted_text_is_searched_and_is_no_command() {
    let scene = Scene::with(&["alice", "quinn"], (80, 24)).await;
    scene.terminal.text("/");
    scene.terminal.paste("quinn\nKy");
    scene.terminal.keys(&["C-u"]);
    scene.terminal.paste("quinn");
    scene.until("quinn is found", |table| table.users() == ["quinn"]).await;
    scene.terminal.press(&["Escape"]).await;
    scene.until("both", |table| table.users().len() == 2).await;
    // Where nothing is typed, pasted text presses no keys.
    scene.terminal.paste("Kyq");
    scene.terminal.keys(&["Down"]);
    scene.terminal.text("y");
    scene.terminal.shows("copied \"alice\"").await;
    assert_eq!(
        scene.daemon.rest().record("alice").await.status,
        presence::Status::Online
    );
}
