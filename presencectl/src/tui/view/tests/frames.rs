//! Frames at several sizes and in several states.

use super::super::super::key::{Code, Key};
use super::super::super::keymap::KeyContext;
use super::super::super::layout;
use super::super::super::model::user_column::UserColumn;
use super::*;

const SIZES: [(u16, u16); 5] = [(80, 24), (120, 40), (200, 60), (40, 10), (1, 1)];

pub(super) fn press(model: &mut Model, keys: &str) {
    for c in keys.chars() {
        let key = match c {
            '\n' => Key::plain(Code::Enter),
            '\t' => Key::plain(Code::Tab),
            '↓' => Key::plain(Code::Down),
            c => Key::char(c),
        };
        send(model, Message::Key(key));
    }
}

fn shown(model: &Model) -> String {
    text(&frame(model, &Theme::rich()))
}

fn lost(model: &mut Model) {
    let lost = StreamEvent::Lost {
        why: "connection lost: connection reset by peer".to_owned(),
        retry_in: Duration::from_millis(1200),
    };
    send(model, Message::Stream(lost));
}

#[test]
fn many_users_are_drawn_at_every_size() {
    for (width, height) in SIZES {
        check(&format!("crowd-{width}x{height}"), &shown(&crowd(width, height)));
    }
}

#[test]
fn an_empty_table_and_one_user_are_drawn() {
    check("no-users-80x24", &shown(&live(80, 24, vec![])));
    let mut one = live(80, 24, vec![record("ann", Status::Online, 5)]);
    check("one-80x24", &shown(&one));
    press(&mut one, "↓c");
    check("one-menu-80x24", &shown(&one));
}

#[test]
fn connecting_and_loading_are_drawn() {
    let mut model = empty(80, 24);
    check("connecting-80x24", &shown(&model));
    connect(&mut model);
    check("loading-80x24", &shown(&model));
}

#[test]
fn a_full_detail_is_drawn_in_every_layout() {
    for (width, height) in [(120, 40), (80, 24), (40, 10)] {
        let mut model = crowd(width, height);
        press(&mut model, "↓↓\n");
        let user = model.detail.as_ref().unwrap().user.clone();
        explained(&mut model, explain(user.as_str()));
        check(&format!("detail-{width}x{height}"), &shown(&model));
    }
}

#[test]
fn each_rule_has_its_reason_and_shows_the_next_change() {
    let cases = [
        (1, Reason::NoSession, Status::Offline),
        (2, Reason::Reported, Status::DoNotDisturb),
        (3, Reason::Custom, Status::Idle),
        (4, Reason::Inactive, Status::Idle),
        (5, Reason::Active, Status::Online),
    ];
    let mut seen: Vec<String> = Vec::new();
    for (rule, reason, status) in cases {
        let mut model = live(80, 24, vec![record("ann", status, 5)]);
        press(&mut model, "↓");
        model.detail = Some(crate::tui::model::Detail::new(user("ann")));
        let explain = Explain {
            rule,
            reason,
            status,
            ..explain("ann")
        };
        explained(&mut model, explain);
        let shown = shown(&model);
        let text = shown.lines().find(|line| line.contains("reason: ")).unwrap().to_owned();
        let head = format!("{}  rule {rule}, {}", status.as_str(), reason.as_str());
        assert!(
            shown.contains(&head) && shown.contains("next  in 3m 30s OFFLINE"),
            "{shown}"
        );
        assert!(!seen.contains(&text), "{text}");
        seen.push(text);
    }
}

#[test]
fn an_unlisted_user_has_times_or_was_never_seen() {
    for (seen, expected) in [
        (Some(ago(90)), "last seen 05:37:41Z (1m 30s ago)"),
        (None, "never seen"),
    ] {
        let mut model = live(120, 40, vec![]).with_user(user("ann"));
        let mut ann = record("ann", Status::Offline, 5);
        ann.last_seen = seen;
        explained(&mut model, explain("ann"));
        let answer = Response::Records {
            now: WALL,
            records: vec![ann],
        };
        send(&mut model, Message::Response(answer));
        assert!(shown(&model).contains(expected), "{}", shown(&model));
    }
}

#[test]
fn a_detail_scrolls_to_its_end_and_no_further() {
    let mut model = live(80, 24, vec![record("ann", Status::Idle, 5)]);
    press(&mut model, "↓\n");
    explained(&mut model, explain("ann"));
    press(&mut model, "\t");
    shown(&model);
    press(&mut model, &"↓".repeat(50));
    let end = shown(&model);
    assert!(end.contains("report:mobile"), "{end}");
    press(&mut model, "k");
    assert_ne!(shown(&model), end, "one step back is visible");
}

#[test]
fn a_countdown_continues_between_responses() {
    let mut model = live(120, 40, vec![record("ann", Status::Idle, 5)]);
    press(&mut model, "↓\n");
    explained(&mut model, explain("ann"));
    assert!(shown(&model).contains("idle in 50s"));
    send(&mut model, Message::Tick(at(3)));
    let later = shown(&model);
    assert!(
        later.contains("idle in 47s") && later.contains("grace period ends in 1s"),
        "{later}"
    );
}

#[test]
fn a_lost_connection_is_drawn_with_the_last_data() {
    let mut model = crowd(80, 24);
    lost(&mut model);
    send(&mut model, Message::Tick(at(72)));
    check("stale-80x24", &shown(&model));
    check("stale-80x24-styles", &styles(&frame(&model, &Theme::rich())));
    let ended = StreamEvent::Ended {
        why: "the secret is wrong (forbidden)".to_owned(),
        next: Some("see `presencectl doctor`".to_owned()),
    };
    send(&mut model, Message::Stream(ended));
    check("ended-80x24", &shown(&model));
}

#[test]
fn a_long_error_never_truncates_the_suggestion() {
    let why = "the daemon rejects this, ".repeat(9);
    let mut model = crowd(80, 24);
    let lost = StreamEvent::Lost {
        why: why.clone(),
        retry_in: Duration::from_millis(1200),
    };
    send(&mut model, Message::Stream(lost));
    assert!(
        shown(&model)
            .lines()
            .next()
            .unwrap()
            .ends_with(" STALE 0s  retry in 1.2 s")
    );
    let next = "start the daemon with `presenced`, or name another server".to_owned();
    let ended = StreamEvent::Ended {
        why,
        next: Some(next.clone()),
    };
    send(&mut model, Message::Stream(ended));
    let bottom = shown(&model).lines().last().unwrap().to_owned();
    assert!(bottom.starts_with("R retry now") && bottom.ends_with(&next), "{bottom}");
}

#[test]
fn a_store_problem_precedes_the_other_figures() {
    let mut model = live(80, 24, vec![]);
    let mut stats = stats();
    stats.store.writable = false;
    stats.store.error = Some("the disk is full, ".repeat(9));
    send(&mut model, Message::Response(Response::Stats(Ok(Box::new(stats)))));
    let line = shown(&model).lines().nth(5).unwrap().to_owned();
    assert!(
        line.contains("STORE NOT WRITABLE  the disk is full") && line.contains("12/s"),
        "{line}"
    );
    send(
        &mut model,
        Message::Response(Response::Stats(Err("too slow".to_owned()))),
    );
    assert!(shown(&model).contains("no statistics: too slow"));
}

#[test]
fn unknown_counts_are_not_drawn_as_zero() {
    let shown = shown(&empty(120, 40));
    assert!(!shown.contains(" 0 ") && shown.contains("– "), "{shown}");
}

#[test]
fn a_pause_is_drawn() {
    let mut model = crowd(120, 40);
    press(&mut model, " ");
    let mut record = record("person-001", Status::DoNotDisturb, 9_000);
    record.since = Some(at(61).wall);
    let event = StreamEvent::Changed {
        now: at(61).wall,
        users: vec![presence::wire::record::Update::Record(record)],
    };
    send(&mut model, Message::Stream(event));
    check("paused-120x40", &shown(&model));
}

#[test]
fn a_search_is_drawn() {
    let mut model = crowd(80, 24);
    press(&mut model, "/p03");
    check("search-80x24", &shown(&model));
    check("search-80x24-styles", &styles(&frame(&model, &Theme::rich())));
    press(&mut model, "xyz");
    check("search-no-match-80x24", &shown(&model));
}

#[test]
fn the_end_of_a_long_search_is_visible() {
    for (width, height) in [(80, 24), (40, 10)] {
        let mut model = crowd(width, height);
        press(&mut model, "/");
        press(&mut model, &"long-".repeat(20));
        let shown = shown(&model);
        assert!(shown.contains("ong-▏"), "{shown}");
    }
}

#[test]
fn a_change_of_a_user_with_a_long_id_is_visible() {
    for (width, height) in [(80, 24), (120, 40)] {
        let mut model = live(width, height, vec![]);
        let uuid = record("c725beab-7c1b-4a53-9d6e-1f0e8a4b7d11", Status::DoNotDisturb, 9);
        let users = vec![presence::wire::record::Update::Record(uuid)];
        send(&mut model, Message::Stream(StreamEvent::Changed { now: WALL, users }));
        assert!(shown(&model).contains("○ → ⊘ DO_NOT_DISTURB"), "{}", shown(&model));
        // A custom status without a change of status is shown too.
        let mut changed = record("c725beab-7c1b-4a53-9d6e-1f0e8a4b7d11", Status::DoNotDisturb, 10);
        changed.custom_status = Some(presence::CustomStatus::Idle);
        let users = vec![presence::wire::record::Update::Record(changed)];
        send(&mut model, Message::Stream(StreamEvent::Changed { now: WALL, users }));
        assert!(shown(&model).contains(" custom IDLE"), "{}", shown(&model));
    }
}

#[test]
fn a_change_by_custom_status_has_its_reason() {
    let mut model = live(120, 40, vec![record("alice", Status::Online, 5)]);
    let mut changed = record("alice", Status::Idle, 6);
    (changed.reason, changed.since) = (Some(Reason::Custom), Some(WALL));
    changed.custom_status = Some(CustomStatus::Idle);
    let users = vec![presence::wire::record::Update::Record(changed)];
    send(&mut model, Message::Stream(StreamEvent::Changed { now: WALL, users }));
    assert!(shown(&model).contains("alice ● → ◐ IDLE  custom"), "{}", shown(&model));
}

#[test]
fn overlays_are_drawn() {
    for (name, keys) in [
        ("help", "?"),
        ("palette", ":sort"),
        ("status", "↓c"),
        ("kick", "↓K"),
        ("export", "x"),
    ] {
        let mut model = crowd(80, 24);
        press(&mut model, keys);
        check(&format!("{name}-80x24"), &shown(&model));
    }
    let mut model = crowd(40, 10);
    press(&mut model, "↓F");
    check("forget-40x10", &shown(&model));
    let long = format!("{}-begins-and-ends-{}", "a".repeat(50), "z".repeat(50));
    let mut model = live(80, 24, vec![record(&long, Status::Online, 5)]);
    press(&mut model, "↓K");
    check("kick-long-80x24", &shown(&model));
}

#[test]
fn sorted_filtered_and_zoomed_panels_are_drawn() {
    let mut model = crowd(120, 40);
    press(&mut model, "sss2");
    check("idle-by-since-120x40", &shown(&model));
    press(&mut model, "0t\tz");
    check("change-log-zoomed-120x40", &shown(&model));
}

#[test]
fn the_sort_column_is_visible_and_marked() {
    for (width, height) in [(80, 24), (120, 40)] {
        let mut model = crowd(width, height);
        for column in UserColumn::ALL.into_iter().cycle().skip(1).take(UserColumn::ALL.len()) {
            press(&mut model, "s");
            let marked = ["▲", "▼"].map(|arrow| format!("{}{arrow}", column.heading()));
            let shown = shown(&model);
            assert!(marked.iter().any(|marked| shown.contains(marked)), "{column:?} {shown}");
        }
    }
}

#[test]
fn the_cursor_is_drawn_in_every_theme() {
    for (name, theme) in [
        ("16", Theme::sixteen()),
        ("none", Theme::plain()),
        ("256", Theme::rich()),
    ] {
        let mut model = crowd(80, 24);
        press(&mut model, "↓↓↓");
        check(&format!("colours-{name}-80x24"), &styles(&frame(&model, &theme)));
    }
}

#[test]
fn a_frame_without_colour_has_the_same_text() {
    let mut model = crowd(120, 40);
    press(&mut model, "↓↓↓");
    assert_eq!(
        text(&frame(&model, &Theme::plain())),
        text(&frame(&model, &Theme::rich()))
    );
    let focus = styles(&frame(&model, &Theme::plain()));
    press(&mut model, "\t");
    assert_ne!(styles(&frame(&model, &Theme::plain())), focus, "the focus is visible");
}

#[test]
fn a_store_problem_and_a_degraded_record_are_drawn() {
    let mut ann = record("ann", Status::Online, 5);
    ann.degraded = true;
    let mut model = live(120, 40, vec![ann]);
    let mut stats = stats();
    stats.store.writable = false;
    stats.store.error = Some("presence.db: the disk is full".to_owned());
    send(&mut model, Message::Response(Response::Stats(Ok(Box::new(stats)))));
    check("store-problem-120x40", &shown(&model));
}

#[test]
fn the_help_scrolls_through_all_of_its_lines() {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 1, 1));
    let painter = super::super::painter::Painter::new(&mut buffer, Theme::plain());
    let lines = super::super::help::lines(&painter);
    assert_eq!(lines.len(), layout::help_rows());
    let mut model = empty(80, 24);
    press(&mut model, "?");
    let room = usize::from(layout::Layout::of(&model).overlay.inside().width) - 1;
    assert!(lines.iter().all(|line| line.width() <= room), "{lines:?}");
    press(&mut model, "G");
    assert!(shown(&model).contains("to the last line"), "{}", shown(&model));
    for place in KeyContext::ALL {
        assert!(lines.iter().any(|line| line.to_string() == place.title()));
    }
}

#[test]
fn a_help_scrolled_to_its_end_fills_a_larger_screen() {
    let mut model = live(80, 24, vec![]);
    press(&mut model, "?");
    for _ in 0..20 {
        send(&mut model, Message::Key(Key::plain(Code::PageDown)));
    }
    send(&mut model, Message::Resized(layout::size(80, 200)));
    let shown = shown(&model);
    assert!(shown.contains(KeyContext::ALL[0].title()), "{shown}");
}

#[test]
fn a_panel_without_room_shows_no_position() {
    let mut model = live(60, 4, vec![record("ann", Status::Online, 5)]);
    press(&mut model, "↓\n\n");
    explained(&mut model, explain("ann"));
    press(&mut model, "z");
    let shown = shown(&model);
    assert!(shown.contains("Detail") && !shown.contains("1–0"), "{shown}");
}
