//! Hostile user ids at every size: nothing panics, and no hostile character is drawn.

use presence::wire::record::Update;

use super::super::super::key::{Code, Key};
use super::super::super::layout::Layout;
use super::*;
use crate::output::escape::is_hostile;

/// Texts that the daemon rejects but another server may send, and unusual valid ids.
const TEXTS: [&str; 14] = [
    "\u{1b}[2J\u{1b}[31mred",
    "\u{9b}31m\u{85}",
    "a\u{202e}gnp.exe",
    "\u{2066}isolated\u{2069}",
    "zero\u{200b}width\u{feff}",
    "مستخدم شخص",
    "漢字利用者の名前がとても長い場合",
    "👩‍👩‍👧‍👧 family",
    "e\u{301}\u{301}\u{301}combining",
    "DOMAIN\\alice\\u{41}",
    "__proto__",
    "=1+1",
    "x\ty\nz\r",
    "\u{7f}\u{0}\u{8}",
];

fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    texts.extend(["x".repeat(128), "漢".repeat(42), "\u{202e}".repeat(42)]);
    texts
}

/// As another server might send it: presenced rejects most of these.
fn update_of(text: &str, revision: u64) -> Option<Update> {
    let id = presence::UserId::new(text).ok()?;
    Some(Update::Record(presence::wire::record::Record {
        user_id: id,
        nodes: Some(vec![text.to_owned()]),
        ..record("x", Status::ALL[usize::try_from(revision % 4).unwrap()], revision)
    }))
}

/// Hostile text wherever text from a server is shown.
fn model(width: u16, height: u16) -> Model {
    let texts = hostile();
    let mut model = live(width, height, vec![record("ann", Status::Online, 1)]);
    for (revision, text) in (2..).zip(&texts) {
        let users: Vec<Update> = update_of(text, revision).into_iter().collect();
        send(&mut model, Message::Stream(StreamEvent::Changed { now: WALL, users }));
    }
    let worst = texts.concat();
    let mut stats = stats();
    stats.store.error = Some(worst.clone());
    send(&mut model, Message::Response(Response::Stats(Ok(Box::new(stats)))));
    model.daemon.node.clone_from(&worst);
    model.daemon.version.clone_from(&worst);
    let user = presence::UserId::new(&"漢".repeat(42)).unwrap();
    let mut explain = explain("ann");
    explain.user_id = user.clone();
    explain.sessions[0].session_id.clone_from(&worst);
    explain.sessions[0].node = Some(worst.clone());
    explain.next[0].why.clone_from(&worst);
    model.detail = Some(crate::tui::model::Detail::new(user));
    explained(&mut model, explain);
    model.detail.as_mut().unwrap().error = Some(worst.clone());
    model.stats_error = Some(worst);
    model
}

/// The states in which hostile text is shown.
fn states(width: u16, height: u16) -> Vec<Model> {
    let worst = hostile().concat();
    let mut all: Vec<Model> = (0..5).map(|_| model(width, height)).collect();
    let lost = StreamEvent::Lost {
        why: worst.clone(),
        retry_in: Duration::from_secs(1),
    };
    send(&mut all[1], Message::Stream(lost));
    let ended = StreamEvent::Ended {
        why: worst.clone(),
        next: Some(worst.clone()),
    };
    send(&mut all[2], Message::Stream(ended));
    for c in "/漢e".chars() {
        send(&mut all[3], Message::Key(crate::tui::key::Key::char(c)));
    }
    send(&mut all[3], Message::Paste(worst));
    all[4].panel = crate::tui::model::Panel::Detail;
    send(&mut all[4], Message::Key(crate::tui::key::Key::char('K')));
    all
}

fn assert_harmless(model: &Model) {
    let buffer = frame(model, &Theme::rich());
    for cell in &buffer.content {
        // Combining marks are part of a letter; joiners of emoji are escaped.
        assert!(
            !cell.symbol().contains(is_hostile),
            "{:?} in\n{}",
            cell.symbol(),
            text(&buffer)
        );
    }
}

#[test]
fn hostile_user_ids_are_rendered_harmless() {
    check("untrusted-text-120x40", &text(&frame(&model(120, 40), &Theme::rich())));
    for state in states(120, 40) {
        assert_harmless(&state);
    }
}

#[test]
fn different_users_never_look_alike() {
    let names = [
        "ann",
        "\u{301}ann",
        "a\u{301}nn",
        "ann\u{301}",
        "an\u{d7b0}n",
        "an\u{200d}n",
    ];
    for keys in ["/nn", "K"] {
        let mut frames: Vec<String> = Vec::new();
        for name in names {
            let mut model = live(80, 24, vec![record(name, Status::Online, 1)]);
            send(&mut model, Message::Key(Key::plain(Code::Down)));
            for c in keys.chars() {
                send(&mut model, Message::Key(Key::char(c)));
            }
            let buffer = frame(&model, &Theme::rich());
            // In a confirmation the user it is about, not the table below it.
            let about = Layout::of(&model).overlay;
            let shown: String = match model.overlay {
                Some(_) => text(&buffer).lines().skip(about.y.into()).take(2).collect(),
                None => text(&buffer),
            };
            assert!(!frames.contains(&shown), "{shown}");
            frames.push(shown);
        }
    }
}

/// All narrow sizes, and those at which the layout changes.
#[test]
fn every_size_is_drawn_without_hostile_characters() {
    let widths = || {
        (0..=16).chain([
            29, 30, 39, 40, 43, 44, 45, 59, 60, 61, 79, 80, 89, 93, 109, 110, 111, 160, 300,
        ])
    };
    for mut state in states(120, 40) {
        for width in widths() {
            for height in [0, 1, 2, 3, 4, 5, 8, 9, 19, 20, 24, 60] {
                state.size = Size { width, height };
                assert_harmless(&state);
            }
        }
    }
}

#[test]
fn extreme_numbers_of_a_daemon_are_drawn() {
    for far in [
        Wall::from_millis(i64::MIN),
        Wall::from_millis(i64::MAX),
        Wall::default(),
    ] {
        for (width, height) in [(120, 40), (80, 24), (40, 10), (1, 1)] {
            for rate in [f64::NAN, f64::INFINITY, -1e300, 1e300] {
                let mut model = live(width, height, vec![record("ann", Status::Online, 1)]);
                let mut stats = stats();
                stats.uptime_seconds = u64::MAX;
                stats.users.online = u64::MAX;
                let sessions = &mut stats.sessions;
                (sessions.connections, sessions.reports, sessions.in_grace) = (u64::MAX, u64::MAX, u64::MAX);
                stats.store.pending_writes = u64::MAX;
                let rates = &mut stats.rates;
                (rates.changes_per_second, rates.delivery_lag_seconds) = (rate, rate);
                rates.delivery_lag_max_seconds = rate;
                send(&mut model, Message::Response(Response::Stats(Ok(Box::new(stats)))));
                let mut worst = record("bob", Status::Idle, 2);
                (worst.since, worst.last_seen, worst.last_active) = (Some(far), Some(far), Some(far));
                worst.sessions = Some(u32::MAX);
                worst.revision = presence::Revision::new(u64::MAX);
                let users = vec![Update::Record(worst)];
                send(&mut model, Message::Stream(StreamEvent::Changed { now: far, users }));
                send(&mut model, Message::Key(Key::char('G')));
                send(&mut model, Message::Key(Key::plain(Code::Enter)));
                let mut explain = explain("bob");
                explain.rule = u8::MAX;
                explain.sessions[0].since = far;
                explain.sessions[0].idle_at = Some(far);
                explain.choice.set_at = Some(far);
                explain.next[0].at = far;
                explained(&mut model, explain);
                for seconds in [1, 2, u64::MAX / 1000] {
                    send(&mut model, Message::Tick(Now { wall: far, ..at(0) }));
                    let mono = Mono::from_millis(seconds.saturating_mul(1000));
                    send(&mut model, Message::Tick(Now { mono, wall: far }));
                    text(&frame(&model, &Theme::rich()));
                }
            }
        }
    }
}
