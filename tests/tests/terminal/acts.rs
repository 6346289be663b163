//! What an operator does to users from the dashboard, and sees done.

use std::path::PathBuf;

use presence::{CustomStatus, Status};
use presence_tests::tokens::base64_url;
use presence_tests::wait_until;

use super::reading::has_table;
use super::scene::Scene;

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (120, 40);

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_set_and_seen_in_the_table_and_in_the_stream() {
    let scene = Scene::with(&["alice", "bob"], LARGE).await;
    scene.select("bob").await;
    scene.terminal.text("c");
    scene.terminal.shows("Custom status of").await;
    scene.terminal.keys(&["Down", "Down", "Enter"]);
    let screen = scene
        .terminal
        .until("the table and the stream show it", |screen| {
            let in_stream = |line: &str| line.contains("bob") && line.contains('→') && line.contains("DO_NOT_DISTURB");
            has_table(screen, |table| {
                table.says("bob", "DO_NOT_DISTURB") && table.says("alice", "ONLINE")
            }) && screen.lines().any(|line| in_stream(line) || line.contains("DND"))
        })
        .await;
    assert!(screen.contains("custom"), "why: {screen}");
    let explain = scene.daemon.rest().explain("bob").await;
    assert_eq!(explain.choice.custom_status, CustomStatus::DoNotDisturb);
    assert_eq!(explain.choice.set_by, Some(presence::Actor::Operator));
    scene.terminal.text("c1");
    scene.until("ONLINE again", |table| table.says("bob", "ONLINE")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kick_asks_first_and_is_done_only_after_a_yes() {
    let mut scene = Scene::with(&["alice", "bob"], SMALL).await;
    scene.select("bob").await;
    for no in ["n", "Enter", "Escape", "q"] {
        scene.terminal.text("K");
        scene.terminal.shows("Kick").await;
        scene.terminal.shows("No, cancel").await;
        scene.terminal.press(&[no]).await;
        scene
            .terminal
            .until("the question is gone", |screen| !screen.contains("No, cancel"))
            .await;
    }
    assert_eq!(scene.daemon.rest().record("bob").await.status, Status::Online);
    scene.terminal.text("K");
    scene.terminal.shows("No, cancel").await;
    scene.terminal.text("y");
    assert_eq!(scene.sockets[1].goodbye().await.0, 4003);
    // Selected, so still there, as who is no longer.
    scene
        .until("bob is shown OFFLINE", |table| table.says("bob", "OFFLINE"))
        .await;
    scene.terminal.press(&["Escape"]).await;
    scene
        .until("only alice is left", |table| table.users() == ["alice"])
        .await;
    assert_eq!(scene.daemon.rest().record("alice").await.status, Status::Online);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_forgotten_only_after_a_yes() {
    let mut scene = Scene::with(&["alice", "bob"], SMALL).await;
    scene.select("bob").await;
    scene.terminal.text("F");
    scene.terminal.shows("can't be undone").await;
    scene.terminal.keys(&["Enter"]);
    scene.terminal.text("F");
    scene.terminal.shows("can't be undone").await;
    assert_eq!(scene.daemon.rest().record("bob").await.status, Status::Online);
    scene.terminal.keys(&["Down", "Enter"]);
    assert_eq!(scene.sockets[1].goodbye().await.0, 4010);
    scene.terminal.press(&["Escape"]).await;
    scene
        .until("only alice is left", |table| table.users() == ["alice"])
        .await;
    assert_eq!(scene.daemon.rest().record("bob").await.revision.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_daemon_refuses_is_told() {
    let scene = Scene::with(&["alice"], LARGE).await;
    scene.select("alice").await;
    for _ in 0..20 {
        scene.daemon.rest().choose("alice", "IDLE").await;
    }
    scene.terminal.text("c3");
    // Too many choices: whatever it is called, it is on the screen, and nothing changed.
    scene
        .terminal
        .until("why it was refused", |screen| {
            let bottom = screen.trim_end().lines().last().unwrap_or_default().to_lowercase();
            bottom.contains("rate") || bottom.contains("too many") || bottom.contains("limit")
        })
        .await;
    assert_eq!(scene.daemon.rest().choice("alice").await, "IDLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_copied_by_the_terminal() {
    let scene = Scene::with(&["alice", "bob"], SMALL).await;
    scene.select("bob").await;
    scene.terminal.text("y");
    scene.terminal.shows("copied \"bob\"").await;
    // Base64 of three bytes has no padding and looks the same in both alphabets.
    let copied = format!("\u{1b}]52;c;{}", base64_url(b"bob"));
    let output = scene.terminal.raw_output();
    assert!(output.windows(copied.len()).any(|window| window == copied.as_bytes()));
}

/// The files in the directory where the dashboard was started, by how their names end.
fn written(scene: &Scene, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(scene.daemon.home().path()).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == ending))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_is_written_as_csv_and_as_json() {
    let scene = Scene::with(&["alice", "=cmd()", "zoe"], SMALL).await;
    scene.daemon.rest().choose("zoe", "IDLE").await;
    scene.until("zoe is idle", |table| table.says("zoe", "IDLE")).await;
    scene.terminal.text("x1");
    scene.terminal.shows("exported 3 users").await;
    let csv = wait_until("a CSV is written", async || written(&scene, "csv").pop()).await;
    let name = csv.file_name().unwrap().to_str().unwrap();
    scene.terminal.shows(name).await;
    let text = std::fs::read_to_string(&csv).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("userId,status,"), "{text}");
    assert!(
        lines.iter().all(|line| !line.starts_with(['=', '"'])),
        "no formula: {text}"
    );
    // What is filtered is not written.
    scene.terminal.text("2");
    scene.until("only IDLE", |table| table.users() == ["zoe"]).await;
    scene.terminal.text("x2");
    scene.terminal.shows("exported 1 user").await;
    let json = wait_until("a JSON is written", async || written(&scene, "json").pop()).await;
    let document: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(document["v"], 1);
    assert_eq!(document["users"].as_array().unwrap().len(), 1, "{document}");
    assert_eq!(document["users"][0]["userId"], "zoe");
    // The stream too.
    scene.terminal.text("0");
    scene.terminal.keys(&["Tab"]);
    scene.terminal.text("x1");
    scene.terminal.shows("exported 1 change").await;
    let stream = wait_until("the stream is written", async || {
        written(&scene, "csv").into_iter().find(|path| *path != csv)
    });
    let text = std::fs::read_to_string(stream.await).unwrap();
    assert!(text.contains("zoe") && text.contains("IDLE"), "{text}");
    // A file is never written over.
    scene.terminal.text("x1");
    wait_until("one more is written", async || {
        (written(&scene, "csv").len() == 3).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_can_t_be_written_is_told() {
    let scene = Scene::before(&["alice"], LARGE).await;
    scene.watch("cd /proc/self && presencectl watch", &["alice"]).await;
    scene.terminal.text("x1");
    scene
        .terminal
        .until("why there is no file", |screen| {
            let bottom = screen.trim_end().lines().last().unwrap_or_default();
            bottom.contains("permitted") || bottom.contains("denied") || bottom.contains("No such")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_kicked_may_come_back() {
    let mut scene = Scene::with(&["alice"], SMALL).await;
    scene.select("alice").await;
    scene.terminal.text("Ky");
    scene
        .until("alice is gone", |table| table.says("alice", "OFFLINE"))
        .await;
    assert_eq!(scene.sockets[0].goodbye().await.0, 4003);
    scene.sockets.push(scene.daemon.socket("alice").await);
    scene
        .until("alice is back", |table| table.says("alice", "ONLINE"))
        .await;
}
