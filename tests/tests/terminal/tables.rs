//! Tables of commands on a terminal: every row is one line, its columns are below their titles, and ids stay different.

use unicode_width::UnicodeWidthStr;

use super::fixture::Fixture;

const TENANT: &str = "tenant-00000000-aaaa-4bbb-8ccc/user-7f3e9a10-52d1-4c0e-9b7a";

fn users() -> Vec<String> {
    let mut users: Vec<String> = (1..=3).map(|number| format!("{TENANT}-{number:08}")).collect();
    users.push("alice".to_owned());
    users.push(format!("{}終わり", "日本語テナント株式会社".repeat(3)));
    users
}

/// The number of columns before a word of a line.
fn column_of(line: &str, word: &str) -> Option<usize> {
    line.find(word).map(|at| line[..at].width())
}

/// The lines that a command has left on the screen.
async fn printed(fixture: &Fixture, command: &str) -> Vec<String> {
    fixture.terminal.ask_on_screen(&format!("clear; {command}")).await;
    let screen = fixture.terminal.screen();
    let lines = screen.trim_end().lines();
    let mut lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
    // The prompt.
    lines.pop();
    lines
}

async fn fixture(users: &[String], width: u16) -> Fixture {
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    Fixture::before(&users, (width, 30)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_long_ids_fit_into_80_columns_and_stay_different() {
    let users = users();
    let fixture = fixture(&users, 80).await;
    let lines = printed(&fixture, "presencectl online").await;
    // The titles, a row for each user, and the summary: a wrapped row would be two.
    assert_eq!(lines.len(), users.len() + 2, "{lines:#?}");
    let title = column_of(&lines[0], "STATUS").unwrap();
    let rows = &lines[1..=users.len()];
    for row in rows {
        assert_eq!(column_of(row, "ONLINE"), Some(title), "{lines:#?}");
        assert!(!row.contains("Z ("), "an age is shown rather than a time: {row}");
    }
    let mut ids: Vec<&str> = rows.iter().map(|row| row.split("  ").next().unwrap()).collect();
    for id in &ids {
        let (first, last) = id.split_once('…').unwrap_or((id, id));
        let is_of = |user: &String| user.starts_with(first) && user.ends_with(last);
        assert!(users.iter().any(is_of), "{id} is of nobody");
    }
    assert!(ids.contains(&"alice"), "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), users.len(), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wide_terminal_shows_whole_ids_and_times() {
    let users = users();
    let fixture = fixture(&users, 200).await;
    let lines = printed(&fixture, "presencectl online").await;
    assert_eq!(lines.len(), users.len() + 2, "{lines:#?}");
    for user in &users {
        let row = lines.iter().find(|line| line.starts_with(user.as_str()));
        let row = row.unwrap_or_else(|| panic!("{user}: {lines:#?}"));
        assert!(row.contains("Z ("), "a time with its age: {row}");
    }
}
