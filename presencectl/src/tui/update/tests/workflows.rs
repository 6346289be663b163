//! Operator workflows, from the first key to the request.

use std::time::Duration;

use presence::CustomStatus;

use super::super::super::effect::{ExportData, ExportFormat};
use super::super::super::keymap::{Action, Filter};
use super::super::super::message::Response;
use super::super::super::model::overlay::Overlay;
use super::super::super::model::tests::record;
use super::super::super::model::user_column::UserColumn;
use super::super::super::model::{Detail, Panel, TimeDisplay};
use super::*;

fn lost() -> Message {
    Message::Stream(StreamEvent::Lost {
        why: "connection reset".to_owned(),
        retry_in: Duration::from_millis(250),
    })
}

#[test]
fn a_status_takes_two_keys_and_a_kick_a_confirmation() {
    let mut model = with(&["ann"]);
    assert_eq!(type_text(&mut model, "c"), [], "no user is selected");
    assert!(model.notice.is_some());
    press_code(&mut model, Code::Down);
    let status = CustomStatus::DoNotDisturb;
    assert_eq!(
        type_text(&mut model, "c3"),
        [Effect::SetStatus {
            user: user("ann"),
            status
        }]
    );
    type_text(&mut model, "K");
    assert_eq!(press_code(&mut model, Code::Enter), [], "no is highlighted first");
    assert_eq!(type_text(&mut model, "Ky"), [Effect::Kick(user("ann"))]);
    assert_eq!(type_text(&mut model, "Fn"), []);
    assert_eq!(type_text(&mut model, "Fjj"), []);
    assert_eq!(press_code(&mut model, Code::Enter), [Effect::Forget(user("ann"))]);
    assert_eq!(type_text(&mut model, "y"), [Effect::Copy("ann".to_owned())]);
}

#[test]
fn changes_are_rejected_without_a_connection() {
    let mut model = with(&["ann"]);
    press_code(&mut model, Code::Down);
    update(&mut model, lost());
    assert_eq!(type_text(&mut model, "c"), []);
    assert!(model.overlay.is_none() && model.notice.as_ref().unwrap().is_error);
    assert_eq!(type_text(&mut model, "R"), [Effect::Reconnect]);
}

#[test]
fn a_change_of_no_selected_user_is_refused_with_the_reason() {
    let mut model = with(&["ann"]);
    update(&mut model, lost());
    for key in ["K", "F", "c"] {
        assert_eq!(type_text(&mut model, key), []);
        let notice = model.notice.take().unwrap();
        assert!(notice.is_error && notice.text.contains("select a user first"), "{key}");
    }
}

#[test]
fn a_lost_connection_marks_data_stale_until_the_snapshot() {
    let mut model = with(&["ann", "bob"]);
    update(&mut model, Message::Tick(at(10_000)));
    update(&mut model, changed("ann", Status::Online, 1));
    update(&mut model, lost());
    update(&mut model, Message::Tick(at(13_000)));
    assert_eq!(model.stale_for(), Some(Duration::from_secs(3)));
    assert_eq!(listed(&model), ["ann", "bob"]);
    update(&mut model, lost());
    assert_eq!(model.stale_for(), Some(Duration::from_secs(3)), "since the first loss");
    update(&mut model, connected());
    assert_eq!(
        model.stale_for(),
        Some(Duration::from_secs(3)),
        "until the snapshot is complete"
    );
    // After a restart: a complete snapshot with higher revisions.
    update(
        &mut model,
        snapshot(vec![user_update("bob", Status::Online, 50)], false),
    );
    apply_pending(&mut model);
    assert_eq!((listed(&model), model.stale_for()), (vec!["bob".to_owned()], None));
    let changes: Vec<_> = model
        .change_log
        .all()
        .map(|change| (change.user.to_string(), change.to))
        .collect();
    assert_eq!(changes, [("ann".to_owned(), Some(Status::Offline))], "bob is unchanged");
}

#[test]
fn a_requested_reconnect_is_shown() {
    let mut model = with(&["ann"]);
    update(&mut model, lost());
    let ended = StreamEvent::Ended {
        why: "kicked".to_owned(),
        next: None,
    };
    for end in [None, Some(Message::Stream(ended))] {
        update(&mut model, Message::Tick(at(10_000)));
        end.into_iter().for_each(|end| drop(update(&mut model, end)));
        assert_eq!(type_text(&mut model, "R"), [Effect::Reconnect]);
        let is_tried =
            |model: &Model, at| matches!(model.connection, ConnectionState::Lost { retry_at, .. } if retry_at == at);
        assert!(is_tried(&model, Some(at(10_000).mono)), "{:?}", model.connection);
        update(&mut model, connected());
        assert!(is_tried(&model, None), "{:?}", model.connection);
        assert_eq!(
            model.connection.stale_since(),
            Some(at(0).mono),
            "still stale since the first loss"
        );
    }
}

#[test]
fn a_resumed_stream_keeps_the_other_users() {
    let mut model = with(&["ann", "bob"]);
    update(&mut model, lost());
    update(&mut model, connected());
    update(&mut model, snapshot(vec![user_update("bob", Status::Idle, 2)], true));
    apply_pending(&mut model);
    assert_eq!(listed(&model), ["ann", "bob"]);
    assert_eq!(model.known_users.counts().idle, 1);
}

#[test]
fn a_pause_freezes_the_view_and_counts_changes() {
    let mut model = with(&["bob"]);
    update(&mut model, changed("bob", Status::Idle, 2));
    type_text(&mut model, " ");
    for revision in 3..13 {
        update(&mut model, changed("bob", Status::ALL[revision % 2], revision as u64));
    }
    update(&mut model, changed("ann", Status::Online, 20));
    apply_pending(&mut model);
    assert_eq!(listed(&model), ["bob"]);
    assert_eq!((model.change_log.unseen(), model.change_log.total()), (10, 11));
    assert_eq!(model.change_log.window(5).count(), 1);
    type_text(&mut model, " ");
    assert_eq!(listed(&model), ["ann", "bob"]);
    assert_eq!(model.change_log.unseen(), 0);
}

#[test]
fn an_explanation_refreshes_on_changes_and_periodically() {
    let mut model = with(&["ann"]);
    press_code(&mut model, Code::Down);
    assert_eq!(
        press_code(&mut model, Code::Enter),
        [Effect::FetchExplanation(user("ann"))]
    );
    update(&mut model, Message::Tick(at(500)));
    assert_eq!(
        update(&mut model, changed("ann", Status::Idle, 2)),
        [],
        "one request at a time"
    );
    let failed = |why: &str| {
        Message::Response(Response::Explained {
            user: user("ann"),
            result: Err(why.to_owned()),
        })
    };
    assert_eq!(
        update(&mut model, failed("later")),
        [Effect::FetchExplanation(user("ann"))]
    );
    assert_eq!(update(&mut model, failed("later")), []);
    let asked = |effects: Vec<Effect>| effects.contains(&Effect::FetchExplanation(user("ann")));
    assert!(!asked(update(&mut model, Message::Tick(at(2_400)))));
    assert!(asked(update(&mut model, Message::Tick(at(2_500)))));
}

#[test]
fn statistics_and_visible_rows_are_polled() {
    let mut model = with(&["ann", "bob"]);
    let mut asked = Vec::new();
    for second in 1..=3 {
        let numbers = Message::Response(Response::Stats(Err("none".to_owned())));
        update(&mut model, numbers);
        let fresh = Response::Records {
            now: at(second * 1000).wall,
            records: vec![],
        };
        update(&mut model, Message::Response(fresh));
        asked.push(update(&mut model, Message::Tick(at(second * 1000))));
    }
    let rows = Effect::FetchRecords(vec![user("ann"), user("bob")]);
    assert_eq!(asked[0], [Effect::FetchStats, rows.clone()]);
    assert_eq!(asked[1], [Effect::FetchStats]);
    assert_eq!(asked[2], [Effect::FetchStats, rows]);
    assert_eq!(
        update(&mut model, Message::Tick(at(9_000))),
        [],
        "not while requests are pending"
    );
}

#[test]
fn the_explained_user_is_polled_with_the_visible_rows() {
    let mut model = with(&["ann"]).with_user(user("zoe"));
    let asked = update(&mut model, Message::Tick(at(1000)));
    let rows = Effect::FetchRecords(vec![user("ann"), user("zoe")]);
    assert!(asked.contains(&rows), "{asked:?}");
}

#[test]
fn the_history_has_one_sample_per_second_despite_gaps() {
    let mut model = with(&["ann"]);
    update(&mut model, changed("ann", Status::Idle, 2));
    update(&mut model, Message::Tick(at(1_000)));
    update(&mut model, Message::Tick(at(1_900)));
    update(&mut model, Message::Tick(at(5_000)));
    let samples: Vec<_> = model
        .history
        .last(10)
        .map(|sample| (sample.users.idle, sample.changes))
        .collect();
    assert_eq!(samples, [(1, 1), (1, 0), (1, 0), (1, 0), (1, 0)]);
    update(&mut model, Message::Tick(at(100_000_000)));
    assert_eq!(model.history.last(usize::MAX).count(), 600);
}

#[test]
fn the_server_clock_advances_and_never_goes_back() {
    let mut model = with(&["ann"]);
    let server = Wall::from_millis(9_000_000);
    let fresh = Response::Records {
        now: server,
        records: vec![],
    };
    update(&mut model, Message::Response(fresh));
    update(&mut model, Message::Tick(at(2_000)));
    assert_eq!(model.now, server.after(Duration::from_secs(2)));
    let earlier = Response::Records {
        now: Wall::from_millis(9_000_500),
        records: vec![],
    };
    update(&mut model, Message::Response(earlier));
    assert_eq!(model.now, server.after(Duration::from_secs(2)));
}

#[test]
fn the_dashboard_opens_on_the_given_user() {
    let mut model = empty().with_user(user("bob"));
    assert_eq!(update(&mut model, connected()), [Effect::FetchExplanation(user("bob"))]);
    let users = ["ann", "bob"].map(|name| user_update(name, Status::Online, 1)).to_vec();
    update(&mut model, snapshot(users, false));
    assert_eq!(model.table.selected(), Some(&user("bob")));
}

#[test]
fn an_export_contains_the_shown_users_or_changes() {
    let mut model = with(&["ann", "bob", "cid"]);
    update(&mut model, changed("bob", Status::Idle, 2));
    type_text(&mut model, "2");
    let effects = type_text(&mut model, "x1");
    let [
        Effect::Export {
            what: ExportData::Users(users),
            format,
            ..
        },
    ] = effects.as_slice()
    else {
        panic!("{effects:?}")
    };
    assert_eq!(
        (users.len(), users[0].user_id.as_str(), *format),
        (1, "bob", ExportFormat::Csv)
    );
    press_code(&mut model, Code::Tab);
    let effects = type_text(&mut model, "x2");
    let [
        Effect::Export {
            what: ExportData::Changes(changes),
            ..
        },
    ] = effects.as_slice()
    else {
        panic!("{effects:?}")
    };
    assert_eq!(changes.len(), 1);
}

#[test]
fn panels_filters_columns_and_times_cycle() {
    let mut model = with(&["ann"]);
    let panels: Vec<_> = (0..2)
        .map(|_| {
            press_code(&mut model, Code::Tab);
            model.panel
        })
        .collect();
    assert_eq!(panels, [Panel::ChangeLog, Panel::Users]);
    press_code(&mut model, Code::BackTab);
    assert_eq!(model.panel, Panel::ChangeLog);
    press_code(&mut model, Code::Tab);
    let mut columns: Vec<_> = (0..8)
        .map(|_| {
            type_text(&mut model, "s");
            model.table.order().unwrap().column
        })
        .collect();
    columns.sort();
    assert_eq!(columns, UserColumn::ALL);
    type_text(&mut model, "fffff");
    assert_eq!(model.table.filter(), Filter::Present);
    type_text(&mut model, "ttt");
    assert_eq!(model.times, TimeDisplay::Both);
}

#[test]
fn a_notice_expires() {
    let mut model = with(&["ann"]);
    update(&mut model, Message::Response(Response::Done("kicked".to_owned())));
    update(&mut model, Message::Tick(at(5_900)));
    assert!(model.notice.is_some());
    update(&mut model, Message::Tick(at(6_000)));
    assert!(model.notice.is_none());
}

#[test]
fn the_palette_finds_a_command_by_words_and_runs_it() {
    let mut model = with(&["ann"]);
    type_text(&mut model, ":sort seen");
    press_code(&mut model, Code::Enter);
    assert_eq!(model.table.order().unwrap().column, UserColumn::LastSeen);
    type_text(&mut model, ":nothing like it");
    assert_eq!(press_code(&mut model, Code::Enter), []);
    assert!(matches!(model.overlay, Some(Overlay::Palette(_))), "no command matches");
    press_code(&mut model, Code::Esc);
    assert!(model.overlay.is_none());
}

#[test]
fn every_hint_finds_its_command_and_quit_is_never_first() {
    for panel in [Panel::Users, Panel::ChangeLog, Panel::Detail] {
        let mut model = with(&["ann"]);
        (model.panel, model.detail) = (panel, Some(Detail::new(user("ann"))));
        let hints = model.hints();
        type_text(&mut model, ":");
        let Some(Overlay::Palette(palette)) = &mut model.overlay else {
            panic!("{:?}", model.overlay)
        };
        assert_ne!(palette.matches()[0].action, Action::Quit);
        // The palette has no command for Esc and for itself.
        for (_, word) in hints.iter().filter(|(_, word)| !["close", "commands"].contains(word)) {
            palette.input.clear();
            palette.input.insert(word);
            assert!(!palette.matches().is_empty(), "{panel:?}: {word}");
        }
    }
}

#[test]
fn an_opened_overlay_removes_the_notice() {
    for key in ["/", ":", "?", "c", "K", "x"] {
        let mut model = with(&["ann"]);
        type_text(&mut model, "jy");
        assert!(model.notice.is_some());
        type_text(&mut model, key);
        assert!(model.notice.is_none(), "{key}");
    }
}

#[test]
fn the_current_status_is_highlighted_first() {
    let mut model = with(&["ann"]);
    let mut ann = record("ann", Status::DoNotDisturb, 2);
    ann.custom_status = Some(CustomStatus::DoNotDisturb);
    let users = vec![Update::Record(ann)];
    update(
        &mut model,
        Message::Stream(StreamEvent::Changed { now: at(0).wall, users }),
    );
    type_text(&mut model, "jc");
    let Some(Overlay::Menu(menu)) = &model.overlay else {
        panic!("{:?}", model.overlay)
    };
    assert_eq!((menu.highlighted, menu.current), (2, Some(2)));
}

#[test]
fn pasted_text_is_never_a_command() {
    let mut model = with(&["ann"]);
    assert_eq!(update(&mut model, Message::Paste("q".to_owned())), []);
    type_text(&mut model, "/");
    update(&mut model, Message::Paste("an\u{1b}n".to_owned()));
    assert_eq!(model.table.query(), "ann");
}
