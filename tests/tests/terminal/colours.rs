//! `--once`, colours and none, few and many.

use presence_tests::tmux::Look;
use presence_tests::{Terminal, ctl};

use super::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn one_picture_goes_into_a_pipe_as_plain_text() {
    let scene = Scene::before(&["alice", "bob"], (80, 24)).await;
    let said = ctl::run(&scene.daemon, &["watch", "--once"]).await;
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
async fn one_picture_on_a_terminal_has_colours_and_stays() {
    let scene = Scene::before(&["alice", "bob"], (80, 24)).await;
    let before = scene.terminal.modes().await;
    scene.terminal.line("presencectl watch --once");
    let screen = scene.terminal.shows("alice").await;
    assert!(screen.contains("bob"));
    scene.terminal.prompt().await;
    assert!(scene.terminal.screen_with_styles().contains("\u{1b}["), "coloured");
    scene.terminal.line("NO_COLOR=1 presencectl watch --once --user bob");
    scene.terminal.prompt().await;
    assert_eq!(scene.terminal.modes().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_picture_of_no_daemon_fails_and_says_what_to_do() {
    let mut scene = Scene::before(&[], (80, 24)).await;
    scene.daemon.kill();
    let said = ctl::run(&scene.daemon, &["watch", "--once"]).await;
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
    assert!(said.err.contains("presenced"), "{said:?}");
}

/// The parameters of every sequence that sets colours.
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

/// Whether it sets a colour, rather than weight or inversion.
fn is_colour(parameters: &str) -> bool {
    parameters
        .split([';', ':'])
        .any(|number| matches!(number.parse(), Ok(30..=38 | 40..=48 | 90..=97 | 100..=107)))
}

async fn used(environment: &[(&'static str, &str)], term: &'static str) -> Vec<String> {
    let scene = Scene::before(&["alice", "bob"], (80, 24)).await;
    let mut all = ctl::environment(&scene.daemon);
    all.extend(environment.iter().map(|(name, value)| (*name, (*value).into())));
    let look = Look {
        term,
        ..Look::of(80, 24)
    };
    let terminal = Terminal::open(scene.daemon.home().path(), all, look).await;
    let from = terminal.raw_output().len();
    terminal.line("presencectl watch");
    terminal.shows("alice").await;
    scene.daemon.rest().choose("bob", "IDLE").await;
    terminal.keys(&["Down", "Enter"]);
    terminal.shows("IDLE").await;
    terminal.keys(&["?"]);
    terminal.shows("In all panels").await;
    terminal.press(&["Escape", "q"]).await;
    terminal.prompt().await;
    colours(&terminal.raw_output()[from..])
}

#[tokio::test(flavor = "multi_thread")]
async fn no_colour_is_used_where_none_is_wanted() {
    let used = used(&[("NO_COLOR", "1")], "tmux-256color").await;
    let coloured: Vec<_> = used.into_iter().filter(|parameters| is_colour(parameters)).collect();
    assert!(coloured.is_empty(), "{coloured:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_of_16_colours_gets_no_others() {
    let used = used(&[], "xterm").await;
    let others: Vec<_> = used
        .iter()
        .filter(|parameters| {
            // The sixteen may be written as indexes too.
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
