//! Start, search, filter, `--user`, and the detail panel.

use presence_tests::Terminal;
use presence_tests::wait_until;

use super::fixture::Fixture;
use super::screen::{has_table, table};

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (120, 40);

#[tokio::test(flavor = "multi_thread")]
async fn the_start_screen_lists_present_users_and_the_daemon() {
    for size in [SMALL, LARGE] {
        let fixture = Fixture::with(&["alice", "bob"], size).await;
        let address = fixture.daemon.address().to_string();
        let screen = fixture.terminal.shows(&address).await;
        assert!(screen.contains(env!("CARGO_PKG_VERSION")), "the daemon's version");
        assert!(screen.contains("ONLINE") && screen.contains("search"), "{screen}");
        let table = table(&screen).unwrap();
        assert_eq!(table.users(), ["alice", "bob"]);
        assert!(table.row_contains("alice", "ONLINE"), "{table:?}");
    }
}

/// The style of each letter of `id` in its row.
fn styles(terminal: &Terminal, (width, height): (u16, u16), id: &str) -> Option<Vec<String>> {
    let mut parser = vt100::Parser::new(height.try_into().unwrap(), width.try_into().unwrap(), 0);
    let styled = terminal.screen_with_styles();
    parser.process(styled.trim_end_matches('\n').replace('\n', "\r\n").as_bytes());
    let screen = parser.screen();
    let look = |row, column| {
        let cell = screen.cell(row, column).unwrap();
        format!(
            "{:?} {:?} {} {} {}",
            cell.fgcolor(),
            cell.bgcolor(),
            cell.bold(),
            cell.underline(),
            cell.inverse()
        )
    };
    let (x, y) = table(&screen.contents())?.position(id)?;
    let line: String = screen.contents_between(u16::try_from(y).unwrap(), 0, u16::try_from(y).unwrap(), width);
    let start = x.max(line.find(id)?);
    let start = line
        .char_indices()
        .position(|(at, _)| at == line.find(id).unwrap())
        .unwrap_or(start);
    Some(
        (start..start + id.len())
            .map(|column| look(u16::try_from(y).unwrap(), u16::try_from(column).unwrap()))
            .collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_filters_while_typing_and_highlights_matches() {
    let fixture = Fixture::with(&["alice", "bob", "malcolm", "zoe"], SMALL).await;
    fixture.terminal.text("/al");
    fixture
        .until("two match", |table| table.users() == ["alice", "malcolm"])
        .await;
    wait_until("what matched styles different", async || {
        let styles = styles(&fixture.terminal, SMALL, "malcolm")?;
        (styles[1] == styles[2] && styles[0] == styles[5] && styles[0] != styles[1]).then_some(())
    })
    .await;
    fixture.terminal.text("ce");
    fixture.until("one matches", |table| table.users() == ["alice"]).await;
    fixture.terminal.keys(&["BSpace", "BSpace", "BSpace", "BSpace"]);
    fixture.until("everyone again", |table| table.users().len() == 4).await;
    // A subsequence matches too.
    fixture.terminal.text("mlm");
    fixture.until("one matches", |table| table.users() == ["malcolm"]).await;
    fixture.terminal.press(&["Escape"]).await;
    fixture.until("everyone again", |table| table.users().len() == 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_user_is_found_by_its_full_id() {
    let fixture = Fixture::with(&["alice"], LARGE).await;
    fixture
        .daemon
        .rest()
        .set_custom_status("zacharias", "DO_NOT_DISTURB")
        .await;
    fixture.terminal.text("/zacharias");
    fixture.terminal.keys(&["Enter"]);
    let screen = fixture.terminal.shows("no_session").await;
    assert!(screen.contains("zacharias") && screen.contains("OFFLINE"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_lists_only_one_status() {
    let fixture = Fixture::with(&["alice", "bob", "carol"], SMALL).await;
    fixture.daemon.rest().set_custom_status("bob", "IDLE").await;
    fixture.daemon.rest().set_custom_status("carol", "DO_NOT_DISTURB").await;
    fixture
        .until("all are as they chose", |table| {
            table.row_contains("bob", "IDLE") && table.row_contains("carol", "DO_NOT_DISTURB")
        })
        .await;
    for (key, listed) in [("1", "alice"), ("2", "bob"), ("3", "carol")] {
        fixture.terminal.text(key);
        fixture
            .until(&format!("filter {key}"), |table| table.users() == [listed])
            .await;
    }
    fixture.terminal.text("0");
    fixture.until("everyone again", |table| table.users().len() == 3).await;
    fixture.terminal.text("f");
    fixture.until("only ONLINE", |table| table.users() == ["alice"]).await;
    // A user that leaves is listed by the OFFLINE filter.
    fixture.daemon.rest().kick("bob").await;
    fixture.terminal.text("4");
    fixture
        .until("who went", |table| {
            table.users() == ["bob"] && table.row_contains("bob", "OFFLINE")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_on_a_status_filters_by_it() {
    let fixture = Fixture::with(&["alice", "bob"], LARGE).await;
    fixture.daemon.rest().set_custom_status("bob", "IDLE").await;
    let screen = fixture.terminal.until("bob is counted as idle", |screen| {
        screen
            .lines()
            .nth(3)
            .is_some_and(|line| line.contains("IDLE") && line.contains('1'))
    });
    screen.await;
    fixture.terminal.click(6, 3);
    fixture.until("only IDLE", |table| table.users() == ["bob"]).await;
    fixture.terminal.click(6, 3);
    fixture.until("everyone again", |table| table.users().len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_detail_panel_explains_the_status() {
    for size in [SMALL, LARGE] {
        let mut fixture = Fixture::with(&["alice", "bob"], size).await;
        fixture.select("alice").await;
        fixture.terminal.keys(&["Enter"]);
        fixture.terminal.shows("rule 5, active").await;
        // The detail panel follows changes.
        fixture.sockets[0].set_custom_status("IDLE").await;
        fixture.terminal.shows("rule 3, custom").await;
        let session = fixture.sockets[0].session.clone();
        fixture.terminal.keys(&["Enter", "z"]);
        let screen = fixture
            .terminal
            .until("only the detail", |screen| {
                screen.contains(&session[..8]) && !has_table(screen, |_| true)
            })
            .await;
        assert!(screen.contains("IDLE") && screen.contains("alice"), "{screen}");
        fixture.terminal.press(&["Escape", "Escape"]).await;
        fixture.until("the table", |table| table.row("bob").is_some()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_in_the_detail_panel_count_down() {
    let fixture = Fixture::with(&["alice"], LARGE).await;
    fixture
        .daemon
        .rest()
        .report("gated", serde_json::json!({"status": "ONLINE", "ttlSeconds": 3600}))
        .await;
    fixture
        .until("the reported one", |table| table.row("gated").is_some())
        .await;
    fixture.select("gated").await;
    fixture.terminal.keys(&["Enter"]);
    fixture.terminal.shows("59m 5").await;
    let first = fixture.terminal.screen();
    fixture
        .terminal
        .until("it counts", |screen| {
            screen.contains("59m 5") && detail(screen) != detail(&first)
        })
        .await;
}

/// The lines with the countdown.
fn detail(screen: &str) -> Vec<String> {
    screen
        .lines()
        .filter(|line| line.contains("59m 5"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_flag_selects_a_user_at_start() {
    let fixture = Fixture::before(&["alice", "bob", "carol"], LARGE).await;
    fixture.terminal.line("presencectl watch --user bob");
    let screen = fixture.terminal.shows("active").await;
    let table = table(&screen).unwrap();
    assert_eq!(table.users().len(), 3, "{screen}");
    assert!(
        screen.matches("bob").count() >= 2,
        "in the table and in the detail: {screen}"
    );
    // Keys act on that user.
    fixture.terminal.text("c2");
    fixture
        .until("bob is set IDLE", |table| table.row_contains("bob", "IDLE"))
        .await;
}
