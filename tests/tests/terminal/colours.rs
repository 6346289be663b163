//! `--once`, and the use of colours.

use presence_tests::tmux::TerminalOptions;
use presence_tests::{Terminal, presencectl};

use super::fixture::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn once_writes_plain_text_into_a_pipe() {
    let fixture = Fixture::before(&["alice", "bob"], (80, 24)).await;
    let said = presencectl::run(&fixture.daemon, &["watch", "--once"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    assert!(
        said.out.contains("alice") && said.out.contains("ONLINE"),
        "{}",
        said.out
    );
    assert!(!said.out.contains('\u{1b}'), "{:?}", said.out);
    assert!(!said.out.contains('\r'), "{:?}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_writes_colours_to_a_terminal() {
    let fixture = Fixture::before(&["alice", "bob"], (80, 24)).await;
    let before = fixture.terminal.modes().await;
    fixture.terminal.line("presencectl watch --once");
    let screen = fixture.terminal.shows("alice").await;
    assert!(screen.contains("bob"));
    fixture.terminal.prompt().await;
    assert!(fixture.terminal.screen_with_styles().contains("\u{1b}["), "coloured");
    fixture.terminal.line("NO_COLOR=1 presencectl watch --once --user bob");
    fixture.terminal.prompt().await;
    assert_eq!(fixture.terminal.modes().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_without_a_daemon_fails_with_advice() {
    let mut fixture = Fixture::before(&[], (80, 24)).await;
    fixture.daemon.kill();
    let said = presencectl::run(&fixture.daemon, &["watch", "--once"]).await;
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
    assert!(said.err.contains("presenced"), "{said:?}");
}

/// The parameters of every SGR sequence.
fn colours(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.split("\u{1b}[")
        .skip(1)
        .filter_map(|sequence| {
            let end = sequence.find(|c: char| !(c.is_ascii_digit() || ";:".contains(c)))?;
            sequence[end..].starts_with('m').then(|| sequence[..end].to_owned())
        })
        .collect()
}

/// Whether the parameters set a colour.
fn is_colour(parameters: &str) -> bool {
    parameters
        .split([';', ':'])
        .any(|number| matches!(number.parse(), Ok(30..=38 | 40..=48 | 90..=97 | 100..=107)))
}

async fn used(environment: &[(&'static str, &str)], term: &'static str) -> Vec<String> {
    let fixture = Fixture::before(&["alice", "bob"], (80, 24)).await;
    let mut all = presencectl::environment(&fixture.daemon);
    all.extend(environment.iter().map(|(name, value)| (*name, (*value).into())));
    let look = TerminalOptions {
        term,
        ..TerminalOptions::of(80, 24)
    };
    let terminal = Terminal::open(fixture.daemon.home().path(), all, look).await;
    let from = terminal.whole_output().await.len();
    terminal.line("presencectl watch");
    terminal.shows("alice").await;
    fixture.daemon.rest().set_custom_status("bob", "IDLE").await;
    terminal.keys(&["Down", "Enter"]);
    terminal.shows("IDLE").await;
    terminal.keys(&["?"]);
    terminal.shows("In all panels").await;
    terminal.press(&["Escape", "q"]).await;
    terminal.prompt().await;
    let written = terminal.whole_output().await;
    assert!(written.len() > from, "nothing was drawn");
    colours(&written[from..])
}

#[tokio::test(flavor = "multi_thread")]
async fn no_color_disables_colours() {
    let used = used(&[("NO_COLOR", "1")], "tmux-256color").await;
    let coloured: Vec<_> = used.into_iter().filter(|parameters| is_colour(parameters)).collect();
    assert!(coloured.is_empty(), "{coloured:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_of_16_colours_gets_only_those() {
    let used = used(&[], "xterm").await;
    let others: Vec<_> = used
        .iter()
        .filter(|parameters| {
            // The sixteen colours may be given as palette indexes too.
            let numbers: Vec<u16> = parameters
                .split([';', ':'])
                .filter_map(|number| number.parse().ok())
                .collect();
            numbers
                .windows(3)
                .any(|window| matches!(window, [38 | 48, 5, 16..=255]) || matches!(window, [38 | 48, 2, _]))
        })
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(
        used.iter().any(|parameters| is_colour(parameters)),
        "but colours there are"
    );
}
