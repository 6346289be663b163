//! No user id and no text of a server reaches the terminal as a control sequence: every command and every panel,
//! checked on every byte written to the terminal.

use std::time::Duration;

use presence::UserId;
use presence_tests::rest::{percent, send};
use presence_tests::wait::wait_for;
use presence_tests::{Daemon, Terminal};
use reqwest::Method;
use unicode_width::UnicodeWidthChar;

use super::control_sequences::assert_harmless;
use super::fixture::Fixture;
use super::malicious_server::{self, REJECTED};

/// Ids that the daemon accepts: without control characters.
const ACCEPTED: &str = "[31m|]0;title|\\x1b[31m|\\u{1b}[2J|^[[2J|%1b%5b2J|\u{241b}[31m|a\u{202e}gnp.exe|\u{202d}x|\u{2066}x\u{2069}|\
a\u{200b}lice|a\u{200d}b|\u{2060}w|\u{ad}soft|\u{feff}bom|line\u{2028}separator|par\u{2029}agraph|\u{e0041}\u{e0042}tags|\u{fff9}a\u{fffa}|\
\u{180e}mongol|\u{3164}filler|利用者の名前|ﾊﾝｶｸ|각각한글|e\u{301}\u{302}\u{303}\u{304}|مستخدم|משתמש|👩‍👩‍👧‍👦|🏳️‍🌈|🇩🇪|👍🏽|☺️|\u{fffd}|\u{10ffff}|\u{e000}|\
﷽|𝕏𝕐|--help|-rf|$(reboot)|`id`|;reboot|'\"|<b>|a\tb|=1+1|@x|│║┃─|▁█|a\\b|DOMAIN\\user|..x|null";

fn accepted() -> Vec<String> {
    let longest = [
        "x".repeat(128),
        "名".repeat(42),
        "\u{202e}".repeat(42),
        "e\u{301}".repeat(42),
    ];
    ACCEPTED
        .split('|')
        .map(str::to_owned)
        .chain(longest)
        .filter(|id| UserId::new(id).is_ok())
        .collect()
}

/// Opens every panel and every dialog that shows the selected user.
async fn open_every_panel(terminal: &Terminal) {
    for keys in [
        &["Enter"][..],
        &["Enter"],
        &["z", "Down", "z"],
        &["c", "Escape"],
        &["K", "Escape"],
        &["F", "Escape"],
        &["y"],
        &["Escape", "Tab", "z", "g", "G", "z", "Tab"],
        &["t", "t", "t", "s", "s", "S", "S", "?", "q", ":", "Escape"],
    ] {
        terminal.press(keys).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_user_id_controls_the_terminal_in_any_panel() {
    let fixture = Fixture::before(&[], (120, 40)).await;
    let ids = accepted();
    for id in &ids {
        fixture.report(id, "ONLINE").await;
    }
    fixture.terminal.line("presencectl watch");
    let count = ids.len().to_string();
    fixture
        .terminal
        .until("all are counted", |screen| {
            screen.contains(&count) && screen.contains("STATUS")
        })
        .await;
    for id in &ids {
        fixture.terminal.keys(&["Down"]);
        fixture.report(id, "IDLE").await;
        open_every_panel(&fixture.terminal).await;
    }
    for id in &ids {
        // Pasted, like an id from a support request.
        fixture.terminal.text("/");
        fixture.terminal.paste(id);
        fixture.terminal.press(&["Enter", "Escape", "Escape"]).await;
    }
    // A user that is not present is looked up by the typed text.
    fixture.daemon.rest().kick(&ids[7]).await;
    fixture.terminal.text("/");
    fixture.terminal.paste(&ids[7]);
    fixture.terminal.keys(&["Enter"]);
    fixture.terminal.shows("no_session").await;
    for size in [(80, 24), (200, 60), (40, 10), (120, 40)] {
        fixture.terminal.resize(size.0, size.1);
    }
    fixture.terminal.press(&["Escape", "Escape", "Escape", "q"]).await;
    fixture.terminal.prompt().await;
    assert_harmless(&fixture.terminal.whole_output().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_user_ids_keep_the_layout_aligned() {
    let fixture = Fixture::before(&[], (80, 24)).await;
    let ids = accepted();
    for id in &ids {
        fixture.report(id, "ONLINE").await;
    }
    fixture.terminal.line("presencectl watch");
    fixture.terminal.shows("ONLINE").await;
    // The width of each character as this terminal has it: a program that assumes another one breaks the layout.
    let width = |line: &str| line.chars().filter_map(UnicodeWidthChar::width).sum::<usize>();
    let is_straight = |screen: &str| {
        screen
            .lines()
            .filter(|line| line.starts_with(['│', '▶']))
            .all(|line| line.ends_with('│') && width(line) == 80)
    };
    for _ in 0..ids.len() / 4 {
        let screen = fixture
            .terminal
            .until("the frame is straight", |screen| {
                screen.contains("ONLINE") && is_straight(screen)
            })
            .await;
        assert!(screen.lines().any(|line| line.starts_with('│')), "{screen}");
        fixture.terminal.keys(&["PageDown"]);
    }
    // Terminals skip noncharacters, so the previous content of the cell would stay visible.
    fixture.terminal.keys(&["End"]);
    fixture.terminal.shows("\\u{10ffff}").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_user_id_controls_the_terminal_in_any_command() {
    let fixture = Fixture::before(&[], (100, 30)).await;
    let ids = accepted();
    let home = fixture.daemon.home().path();
    for id in &ids {
        fixture.report(id, "ONLINE").await;
    }
    // In files, so that only the programs write an id to the terminal.
    std::fs::write(home.join("ids"), ids.join("\n") + "\n").unwrap();
    let script = r#"
        timeout 30 presencectl events & events=$!
        presencectl get - <ids
        for format in table json ndjson csv; do presencectl -o $format online; done
        while IFS= read -r id; do
            presencectl explain -- "$id"
            presencectl set-status IDLE --user="$id"
            presencectl get -- "$id"
            presencectl get --no-such "$id"
            presencectl --context "$id" stats
            presencectl --secret-file "$id" stats
            presencectl set-status "$id"
            presencectl token "$id" --jwt-key /dev/null
            presencectl online --prefix "$id" --status "$id"
            echo n | presencectl kick -- "$id"
            presencectl kick --yes -- "$id"
            presencectl forget --yes -- "$id"
            presencectl watch --once --user="$id"
        done <ids
        presencectl stats; presencectl doctor
        kill $events
    "#;
    std::fs::write(home.join("script"), script).unwrap();
    fixture.terminal.line("sh script; echo it is over");
    // Hundreds of processes, one after the other.
    wait_for("all commands have run", Duration::from_secs(300), async || {
        let screen = fixture.terminal.screen();
        screen.lines().any(|line| line.trim_end() == "it is over").then_some(())
    })
    .await;
    fixture.terminal.prompt().await;
    assert_harmless(&fixture.terminal.whole_output().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malicious_server_cannot_control_the_terminal() {
    let daemon = Daemon::start(&[]).await;
    let stats = send(daemon.rest().internal(Method::GET, "/api/stats")).await.body;
    let fake = malicious_server::start(stats);
    let home = daemon.home().path().to_owned();
    let terminal = Terminal::of(&daemon, 120, 40).await;
    std::fs::copy(daemon.file("secret"), home.join("copied-secret")).unwrap();
    let tool = format!(
        "presencectl --server http://{} --secret-file copied-secret",
        fake.address()
    );
    terminal.line(&format!("{tool} watch"));
    let is_settled = |screen: &str| screen.contains("survivor") && screen.contains("alice");
    // Retries by key until it is connected.
    loop {
        terminal.keys(&["R"]);
        let screen = terminal
            .until("a picture or a word about why not", |screen| screen.contains("help"))
            .await;
        if is_settled(&screen) {
            break;
        }
    }
    terminal.keys(&["Down"]);
    open_every_panel(&terminal).await;
    terminal.keys(&["Enter"]);
    terminal.shows("custom").await;
    for act in ["c1", "Ky", "Fy"] {
        terminal.text(act);
        terminal.shows("bad").await;
    }
    terminal.keys(&["C-c"]);
    terminal.prompt().await;
    for command in [
        "stats",
        "doctor",
        "explain alice",
        "get alice",
        "online",
        "kick --yes alice",
        "watch --once",
    ] {
        terminal.ask_on_screen(&format!("timeout 20 {tool} {command}")).await;
    }
    assert!(fake.requests().len() > 5);
    assert_harmless(&terminal.whole_output().await);
}

#[test]
fn the_daemon_accepts_only_the_valid_ids_used_here() {
    assert!(accepted().len() > 45);
    assert!(accepted().iter().any(|id| percent(id).len() > 300));
    assert!(REJECTED.iter().all(|id| UserId::new(id).is_err()));
}
