//! Actions of an operator in the dashboard: custom status, kick, forget, copy, export.

use std::path::PathBuf;

use presence::{CustomStatus, Status};
use presence_tests::jwt::base64_url;
use presence_tests::wait_until;

use super::fixture::Fixture;
use super::screen::has_table;

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (120, 40);

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_status_is_set_and_shown_in_table_and_stream() {
    let fixture = Fixture::with(&["alice", "bob"], LARGE).await;
    fixture.select("bob").await;
    fixture.terminal.text("c");
    fixture.terminal.shows("Custom status of").await;
    fixture.terminal.keys(&["Down", "Down", "Enter"]);
    let screen = fixture
        .terminal
        .until("the table and the stream show it", |screen| {
            let in_stream = |line: &str| line.contains("bob") && line.contains('→') && line.contains("DO_NOT_DISTURB");
            has_table(screen, |table| {
                table.row_contains("bob", "DO_NOT_DISTURB") && table.row_contains("alice", "ONLINE")
            }) && screen.lines().any(|line| in_stream(line) || line.contains("DND"))
        })
        .await;
    assert!(screen.contains("custom"), "why: {screen}");
    let explain = fixture.daemon.rest().explain("bob").await;
    assert_eq!(explain.choice.custom_status, CustomStatus::DoNotDisturb);
    assert_eq!(explain.choice.set_by, Some(presence::Actor::Operator));
    fixture.terminal.text("c1");
    fixture
        .until("ONLINE again", |table| table.row_contains("bob", "ONLINE"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kick_needs_a_confirmation() {
    let mut fixture = Fixture::with(&["alice", "bob"], SMALL).await;
    fixture.select("bob").await;
    for no in ["n", "Enter", "Escape", "q"] {
        fixture.terminal.text("K");
        fixture.terminal.shows("Kick").await;
        fixture.terminal.shows("No, cancel").await;
        fixture.terminal.press(&[no]).await;
        fixture
            .terminal
            .until("the question is gone", |screen| !screen.contains("No, cancel"))
            .await;
    }
    assert_eq!(fixture.daemon.rest().record("bob").await.status, Status::Online);
    fixture.terminal.text("K");
    fixture.terminal.shows("No, cancel").await;
    fixture.terminal.text("y");
    assert_eq!(fixture.sockets[1].goodbye().await.0, 4003);
    // The selected row stays although the user is OFFLINE.
    fixture
        .until("bob is shown OFFLINE", |table| table.row_contains("bob", "OFFLINE"))
        .await;
    fixture.terminal.press(&["Escape"]).await;
    fixture
        .until("only alice is left", |table| table.users() == ["alice"])
        .await;
    assert_eq!(fixture.daemon.rest().record("alice").await.status, Status::Online);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forget_needs_a_confirmation() {
    let mut fixture = Fixture::with(&["alice", "bob"], SMALL).await;
    fixture.select("bob").await;
    fixture.terminal.text("F");
    fixture.terminal.shows("can't be undone").await;
    fixture.terminal.keys(&["Enter"]);
    fixture.terminal.text("F");
    fixture.terminal.shows("can't be undone").await;
    assert_eq!(fixture.daemon.rest().record("bob").await.status, Status::Online);
    fixture.terminal.keys(&["Down", "Enter"]);
    assert_eq!(fixture.sockets[1].goodbye().await.0, 4010);
    fixture.terminal.press(&["Escape"]).await;
    fixture
        .until("only alice is left", |table| table.users() == ["alice"])
        .await;
    assert_eq!(fixture.daemon.rest().record("bob").await.since, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_daemon_is_shown() {
    let fixture = Fixture::with(&["alice"], LARGE).await;
    fixture.select("alice").await;
    for _ in 0..20 {
        fixture.daemon.rest().set_custom_status("alice", "IDLE").await;
    }
    fixture.terminal.text("c3");
    // The rate limit error is on the screen, and the custom status is unchanged.
    fixture
        .terminal
        .until("why it was refused", |screen| {
            let bottom = screen.trim_end().lines().last().unwrap_or_default().to_lowercase();
            bottom.contains("rate") || bottom.contains("too many") || bottom.contains("limit")
        })
        .await;
    assert_eq!(fixture.daemon.rest().custom_status("alice").await, "IDLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_id_is_copied_to_the_clipboard() {
    let fixture = Fixture::with(&["alice", "bob"], SMALL).await;
    fixture.select("bob").await;
    fixture.terminal.text("y");
    fixture.terminal.shows("copied \"bob\"").await;
    // Base64 of three bytes has no padding and looks the same in both alphabets.
    let copied = format!("\u{1b}]52;c;{}", base64_url(b"bob"));
    wait_until("the terminal is told to copy it", async || {
        let output = fixture.terminal.output_so_far();
        let mut windows = output.windows(copied.len());
        windows.any(|window| window == copied.as_bytes()).then_some(())
    })
    .await;
}

/// The files with this extension in the working directory of the dashboard.
fn exported(fixture: &Fixture, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixture.daemon.home().path()).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == ending))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shown_rows_are_exported_as_csv_and_json() {
    let fixture = Fixture::with(&["alice", "=cmd()", "zoe"], SMALL).await;
    fixture.daemon.rest().set_custom_status("zoe", "IDLE").await;
    fixture
        .until("zoe is idle", |table| table.row_contains("zoe", "IDLE"))
        .await;
    fixture.terminal.text("x1");
    fixture.terminal.shows("exported 3 users").await;
    let csv = wait_until("a CSV is written", async || exported(&fixture, "csv").pop()).await;
    let name = csv.file_name().unwrap().to_str().unwrap();
    fixture.terminal.shows(name).await;
    let text = std::fs::read_to_string(&csv).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("userId,status,"), "{text}");
    assert!(
        lines.iter().all(|line| !line.starts_with(['=', '"'])),
        "no formula: {text}"
    );
    // Filtered rows are not exported.
    fixture.terminal.text("2");
    fixture.until("only IDLE", |table| table.users() == ["zoe"]).await;
    fixture.terminal.text("x2");
    fixture.terminal.shows("exported 1 user").await;
    let json = wait_until("a JSON is written", async || exported(&fixture, "json").pop()).await;
    let document: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(document["v"], 1);
    assert_eq!(document["users"].as_array().unwrap().len(), 1, "{document}");
    assert_eq!(document["users"][0]["userId"], "zoe");
    // The stream is exported too.
    fixture.terminal.text("0");
    fixture.terminal.keys(&["Tab"]);
    fixture.terminal.text("x1");
    fixture.terminal.shows("exported 1 change").await;
    let stream = wait_until("the stream is written", async || {
        exported(&fixture, "csv").into_iter().find(|path| *path != csv)
    });
    let text = std::fs::read_to_string(stream.await).unwrap();
    assert!(text.contains("zoe") && text.contains("IDLE"), "{text}");
    // An existing file is never overwritten.
    fixture.terminal.text("x1");
    wait_until("one more is written", async || {
        (exported(&fixture, "csv").len() == 3).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_export_is_shown() {
    let fixture = Fixture::before(&["alice"], LARGE).await;
    fixture.watch("cd /proc/self && presencectl watch", &["alice"]).await;
    fixture.terminal.text("x1");
    fixture
        .terminal
        .until("why there is no file", |screen| {
            let bottom = screen.trim_end().lines().last().unwrap_or_default();
            bottom.contains("permitted") || bottom.contains("denied") || bottom.contains("No such")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kicked_user_may_reconnect() {
    let mut fixture = Fixture::with(&["alice"], SMALL).await;
    fixture.select("alice").await;
    fixture.terminal.text("Ky");
    fixture
        .until("alice is gone", |table| table.row_contains("alice", "OFFLINE"))
        .await;
    assert_eq!(fixture.sockets[0].goodbye().await.0, 4003);
    fixture.sockets.push(fixture.daemon.socket("alice").await);
    fixture
        .until("alice is back", |table| table.row_contains("alice", "ONLINE"))
        .await;
}
