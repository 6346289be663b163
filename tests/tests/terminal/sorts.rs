//! The order of the table: by every column, with keys and clicks, and a selection that stays on its user.

use presence_tests::Terminal;
use serde_json::json;

use super::reading::{Table, table};
use super::scene::Scene;

/// So wide that every column is there.
const WIDE: (u16, u16) = (240, 40);
const HEADINGS: [&str; 8] = [
    "USER",
    "STATUS",
    "REASON",
    "SINCE",
    "LAST ACTIVE",
    "LAST SEEN",
    "SESSIONS",
    "NODE",
];

/// Four people who differ in every column but the node.
async fn scene() -> Scene {
    let mut scene = Scene::before(&["alice", "bob", "carol"], WIDE).await;
    scene.sockets.push(scene.daemon.socket("bob").await);
    scene.sockets.push(scene.daemon.socket("bob").await);
    scene.sockets.push(scene.daemon.socket("carol").await);
    scene.sockets[1].choose("DO_NOT_DISTURB").await;
    scene.sockets[2].choose("IDLE").await;
    scene.daemon.rest().report("dave", json!({"status": "IDLE"})).await;
    scene
        .watch("presencectl watch", &["alice", "bob", "carol", "dave"])
        .await;
    scene
        .until("all is known", |table| {
            table.says("bob", "DO_NOT_DISTURB") && table.says("carol", "IDLE") && table.says("dave", "IDLE")
        })
        .await;
    scene
}

/// The heading that is marked as the one the table is sorted by.
fn marked(table: &Table) -> Option<&'static str> {
    let arrow = table.head.find(['▲', '▼', '↑', '↓', '▴', '▾'])?;
    HEADINGS
        .into_iter()
        .filter(|heading| table.head.find(heading).is_some_and(|at| at < arrow))
        .max_by_key(|heading| table.head.find(heading))
}

fn users(terminal: &Terminal) -> Vec<String> {
    let table = table(&terminal.screen()).unwrap();
    table.users().into_iter().map(str::to_owned).collect()
}

/// By this column the first of them, and whether that is all there is to say.
fn first_by(heading: &str) -> Option<&'static str> {
    match heading {
        "USER" => Some("alice"),
        // ONLINE, IDLE, DO_NOT_DISTURB.
        "STATUS" => Some("alice"),
        "SESSIONS" => Some("bob"),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_sorts_by_each_column_in_turn_and_another_turns_the_order_round() {
    let scene = scene().await;
    assert_eq!(marked(&table(&scene.terminal.screen()).unwrap()), Some("USER"));
    for heading in HEADINGS.iter().cycle().skip(1).take(HEADINGS.len()) {
        scene.terminal.text("s");
        let sorted = scene
            .until(&format!("sorted by {heading}"), |table| marked(table) == Some(heading))
            .await;
        if let Some(first) = first_by(heading) {
            assert_eq!(sorted.users()[0], first, "by {heading}: {sorted:?}");
        }
        let head = sorted.head.clone();
        let before = users(&scene.terminal);
        scene.terminal.text("r");
        let turned = scene
            .until(&format!("{heading} the other way round"), |table| table.head != head)
            .await;
        assert_eq!(marked(&turned), Some(*heading));
        if *heading == "USER" || *heading == "SESSIONS" {
            let last = before.last().unwrap();
            assert_eq!(
                turned.users()[0],
                if *heading == "USER" {
                    last.as_str()
                } else {
                    turned.users()[0]
                }
            );
            assert_ne!(turned.users(), before, "by {heading}");
        }
        scene.terminal.text("r");
        scene.until("and back", |table| table.head == head).await;
    }
    scene.terminal.text("S");
    scene
        .until("sorted by the one before", |table| marked(table) == Some("NODE"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_on_a_heading_sorts_by_it_and_another_turns_the_order_round() {
    let scene = scene().await;
    for heading in HEADINGS.iter().cycle().skip(1).take(HEADINGS.len()) {
        let (x, y) = table(&scene.terminal.screen()).unwrap().heading(heading).unwrap();
        scene.terminal.click(x + 1, y);
        let sorted = scene
            .until(&format!("sorted by {heading}"), |table| marked(table) == Some(heading))
            .await;
        let head = sorted.head.clone();
        scene.terminal.click(x + 1, y);
        let turned = scene.until("the other way round", |table| table.head != head).await;
        assert_eq!(marked(&turned), Some(*heading));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_selection_stays_on_its_user_while_rows_move() {
    let scene = scene().await;
    scene.select("carol").await;
    scene.until("everyone again", |table| table.users().len() == 4).await;
    let acts_on_carol = async |turn: &str, choice: &str| {
        scene.terminal.text("y");
        scene.terminal.shows("copied \"carol\"").await;
        scene.terminal.text(turn);
        scene.until(choice, |table| table.says("carol", choice)).await;
    };
    // Others come before it, its own row moves, others leave.
    let sockets = [scene.daemon.socket("aaron").await, scene.daemon.socket("abel").await];
    scene.until("two more", |table| table.users().len() == 6).await;
    acts_on_carol("c3", "DO_NOT_DISTURB").await;
    scene.terminal.text("s");
    scene
        .until("sorted by status", |table| marked(table) == Some("STATUS"))
        .await;
    acts_on_carol("c1", "ONLINE").await;
    for socket in sockets {
        socket.close(Some(1000)).await;
    }
    scene.until("two fewer", |table| table.users().len() == 4).await;
    acts_on_carol("c2", "IDLE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_selects_a_row_and_another_one_explains_it() {
    let scene = scene().await;
    let (x, y) = table(&scene.terminal.screen()).unwrap().place("dave").unwrap();
    scene.terminal.click(x + 1, y);
    scene.terminal.text("y");
    scene.terminal.shows("copied \"dave\"").await;
    scene.terminal.click(x + 1, y);
    scene
        .terminal
        .until("the rule", |screen| screen.to_lowercase().contains("rule"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wheel_scrolls_a_table_that_is_longer_than_the_screen() {
    let scene = Scene::before(&[], (80, 24)).await;
    for number in 0..60 {
        scene.report(&format!("user-{number:02}"), "ONLINE").await;
    }
    scene.watch("presencectl watch", &["user-00"]).await;
    let (x, y) = table(&scene.terminal.screen()).unwrap().place("user-00").unwrap();
    scene.terminal.wheel_down(x, y);
    scene.until("scrolled", |table| table.users()[0] == "user-03").await;
    scene.terminal.wheel_up(x, y);
    scene
        .until("scrolled back", |table| table.users()[0] == "user-00")
        .await;
    scene.terminal.keys(&["End"]);
    scene
        .until("the last one", |table| table.row("user-59").is_some())
        .await;
    scene.terminal.keys(&["g"]);
    scene
        .until("the first one", |table| table.row("user-00").is_some())
        .await;
}
