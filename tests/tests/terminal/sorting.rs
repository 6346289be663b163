//! Sorting of the table by every column, by keys and clicks; the selection stays on its user.

use presence_tests::Terminal;
use serde_json::json;

use super::fixture::Fixture;
use super::screen::{Table, table};

/// Wide enough for every column.
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

/// Four users that differ in every column but the node.
async fn fixture() -> Fixture {
    let mut fixture = Fixture::before(&["alice", "bob", "carol"], WIDE).await;
    fixture.sockets.push(fixture.daemon.socket("bob").await);
    fixture.sockets.push(fixture.daemon.socket("bob").await);
    fixture.sockets.push(fixture.daemon.socket("carol").await);
    fixture.sockets[1].set_custom_status("DO_NOT_DISTURB").await;
    fixture.sockets[2].set_custom_status("IDLE").await;
    fixture.daemon.rest().report("dave", json!({"status": "IDLE"})).await;
    fixture
        .watch("presencectl watch", &["alice", "bob", "carol", "dave"])
        .await;
    fixture
        .until("all is known", |table| {
            table.row_contains("bob", "DO_NOT_DISTURB")
                && table.row_contains("carol", "IDLE")
                && table.row_contains("dave", "IDLE")
        })
        .await;
    fixture
}

/// The header that is marked as the sort column.
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

/// The first user when sorted by this column; none if it is not determined.
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
async fn keys_change_the_sort_column_and_order() {
    let fixture = fixture().await;
    assert_eq!(marked(&table(&fixture.terminal.screen()).unwrap()), Some("USER"));
    for heading in HEADINGS.iter().cycle().skip(1).take(HEADINGS.len()) {
        fixture.terminal.text("s");
        let sorted = fixture
            .until(&format!("sorted by {heading}"), |table| marked(table) == Some(heading))
            .await;
        if let Some(first) = first_by(heading) {
            assert_eq!(sorted.users()[0], first, "by {heading}: {sorted:?}");
        }
        let head = sorted.head.clone();
        let before = users(&fixture.terminal);
        fixture.terminal.text("r");
        let turned = fixture
            .until(&format!("{heading} the other way round"), |table| table.head != head)
            .await;
        assert_eq!(marked(&turned), Some(*heading));
        if *heading == "USER" || *heading == "SESSIONS" {
            assert_eq!(
                turned.users().last(),
                before.first().map(String::as_str).as_ref(),
                "by {heading}"
            );
            assert_ne!(turned.users(), before, "by {heading}");
        }
        fixture.terminal.text("r");
        fixture.until("and back", |table| table.head == head).await;
    }
    fixture.terminal.text("S");
    fixture
        .until("sorted by the one before", |table| marked(table) == Some("NODE"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_on_a_heading_sort_and_reverse() {
    let fixture = fixture().await;
    for heading in HEADINGS.iter().cycle().skip(1).take(HEADINGS.len()) {
        let (x, y) = table(&fixture.terminal.screen()).unwrap().heading(heading).unwrap();
        fixture.terminal.click(x + 1, y);
        let sorted = fixture
            .until(&format!("sorted by {heading}"), |table| marked(table) == Some(heading))
            .await;
        let head = sorted.head.clone();
        fixture.terminal.click(x + 1, y);
        let turned = fixture.until("the other way round", |table| table.head != head).await;
        assert_eq!(marked(&turned), Some(*heading));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_selection_stays_on_its_user_while_rows_move() {
    let fixture = fixture().await;
    fixture.select("carol").await;
    fixture.until("everyone again", |table| table.users().len() == 4).await;
    let acts_on_carol = async |turn: &str, status: &str| {
        fixture.terminal.text("y");
        fixture.terminal.shows("copied \"carol\"").await;
        fixture.terminal.text(turn);
        fixture.until(status, |table| table.row_contains("carol", status)).await;
    };
    // Users sort before it, its own row moves, users leave.
    let sockets = [
        fixture.daemon.socket("aaron").await,
        fixture.daemon.socket("abel").await,
    ];
    fixture.until("two more", |table| table.users().len() == 6).await;
    acts_on_carol("c3", "DO_NOT_DISTURB").await;
    fixture.terminal.text("s");
    fixture
        .until("sorted by status", |table| marked(table) == Some("STATUS"))
        .await;
    acts_on_carol("c1", "ONLINE").await;
    for socket in sockets {
        socket.close(Some(1000)).await;
    }
    fixture.until("two fewer", |table| table.users().len() == 4).await;
    acts_on_carol("c2", "IDLE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_selects_a_row_and_a_second_explains_it() {
    let fixture = fixture().await;
    let (x, y) = table(&fixture.terminal.screen()).unwrap().position("dave").unwrap();
    fixture.terminal.click(x + 1, y);
    fixture.terminal.text("y");
    fixture.terminal.shows("copied \"dave\"").await;
    fixture.terminal.click(x + 1, y);
    fixture
        .terminal
        .until("the rule", |screen| screen.to_lowercase().contains("rule"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mouse_wheel_scrolls_a_long_table() {
    let fixture = Fixture::before(&[], (80, 24)).await;
    for number in 0..60 {
        fixture.report(&format!("user-{number:02}"), "ONLINE").await;
    }
    fixture.watch("presencectl watch", &["user-00"]).await;
    let (x, y) = table(&fixture.terminal.screen()).unwrap().position("user-00").unwrap();
    fixture.terminal.wheel_down(x, y);
    fixture.until("scrolled", |table| table.users()[0] == "user-03").await;
    fixture.terminal.wheel_up(x, y);
    fixture
        .until("scrolled back", |table| table.users()[0] == "user-00")
        .await;
    fixture.terminal.keys(&["End"]);
    fixture
        .until("the last one", |table| table.row("user-59").is_some())
        .await;
    fixture.terminal.keys(&["g"]);
    fixture
        .until("the first one", |table| table.row("user-00").is_some())
        .await;
}
