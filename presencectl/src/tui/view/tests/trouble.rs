//! What is wrong with the daemon, on screens of every size.

use presence::wire::rest::{ClusterStats, NodeStats, RedisStats};

use super::super::super::model::Panel;
use super::*;

fn shown(model: &Model) -> String {
    text(&frame(model, &Theme::plain()))
}

fn answer(model: &mut Model, stats: Stats) {
    send(model, Message::Response(Response::Stats(Ok(Box::new(stats)))));
}

fn not_writable(model: &mut Model) {
    let mut stats = stats();
    stats.store.writable = false;
    answer(model, stats);
}

fn with_store_error(model: &mut Model) {
    let mut stats = stats();
    stats.store.error = Some("the disk is slow".to_owned());
    answer(model, stats);
}

fn stalled(model: &mut Model) {
    let mut stats = stats();
    stats.stalls = StallStats {
        count: 3,
        last_at: Some(WALL),
        last_seconds: 1.6,
        longest_seconds: 2.0,
    };
    answer(model, stats);
}

fn with_cluster(model: &mut Model, stale_partitions: u64, last_tick_seconds: f64) {
    let node = NodeStats {
        name: "b".to_owned(),
        incarnation: "0000000000000007".to_owned(),
        version: Some("0.1.0".to_owned()),
        last_tick_seconds: Some(last_tick_seconds),
        lag_seconds: Some(0.0),
        ..NodeStats::default()
    };
    let mut stats = stats();
    stats.cluster = Some(ClusterStats {
        partitions: 16,
        stale_partitions,
        lease_seconds: 15.0,
        nodes: vec![node],
        redis: Vec::new(),
    });
    answer(model, stats);
}

fn with_stale_partitions(model: &mut Model) {
    with_cluster(model, 1, 12.0);
}

fn without_redis(model: &mut Model) {
    with_cluster(model, 1, 12.0);
    let mut stats = model.stats.clone().unwrap();
    stats.cluster.as_mut().unwrap().redis.push(RedisStats {
        address: "10.0.0.1:6379".to_owned(),
        reachable: false,
        error: Some("refused".to_owned()),
        answer_seconds: 0.0,
        tls: false,
        public: false,
        denied: Vec::new(),
        needs_password: None,
        info: None,
    });
    answer(model, *stats);
}

fn with_a_silent_node(model: &mut Model) {
    with_cluster(model, 0, 12.0);
}

fn silent(model: &mut Model) {
    (1..=3).for_each(|second| drop(update(model, Message::Tick(at(second)))));
}

#[test]
fn trouble_is_in_every_layout() {
    type TroubleCase = (fn(&mut Model), &'static str);
    let troubles: [TroubleCase; 7] = [
        (not_writable, "STORE NOT WRITABLE"),
        (with_store_error, "store error"),
        (stalled, "stalled 1.6 s"),
        (silent, "NO ANSWER 3s"),
        (without_redis, "REDIS UNREACHABLE"),
        (with_stale_partitions, "RECORDS STALE"),
        (with_a_silent_node, "a node is silent"),
    ];
    for (trouble, label) in troubles {
        for (width, height) in [(200, 60), (120, 40), (80, 24), (40, 10), (40, 3), (40, 2), (30, 1)] {
            for panel in [Panel::Users, Panel::ChangeLog, Panel::Detail] {
                for is_zoomed in [false, true] {
                    let mut model = live(width, height, vec![record("ann", Status::Online, 5)]);
                    model.detail = Some(super::super::super::model::Detail::new(user("ann")));
                    (model.panel, model.is_zoomed) = (panel, is_zoomed);
                    trouble(&mut model);
                    let shown = shown(&model);
                    assert!(shown.contains(label), "{width}x{height} {panel:?}\n{shown}");
                    assert!(!shown.contains("live"), "{width}x{height} {panel:?}\n{shown}");
                }
            }
        }
    }
}

#[test]
fn a_silent_daemon_has_one_state_and_no_current_figures() {
    let mut model = live(120, 40, vec![]);
    assert!(shown(&model).contains("● live") && shown(&model).contains("store ok"));
    silent(&mut model);
    let one = shown(&model);
    assert!(one.contains("NO ANSWER 3s") && !one.contains("store ok"), "{one}");
    let failed = Response::Stats(Err("no answer".to_owned()));
    send(&mut model, Message::Response(failed));
    let same = shown(&model);
    assert!(
        same.contains("NO ANSWER 3s") && !same.contains("no statistics"),
        "{same}"
    );
    answer(&mut model, stats());
    assert!(shown(&model).contains("● live"));
}

#[test]
fn figures_that_could_not_be_read_are_not_called_good() {
    let mut model = live(120, 40, vec![]);
    send(
        &mut model,
        Message::Response(Response::Stats(Err("refused".to_owned()))),
    );
    let shown = shown(&model);
    assert!(
        shown.contains("◌ no statistics") && shown.contains("no statistics: refused"),
        "{shown}"
    );
    assert!(!shown.contains("store ok"), "{shown}");
}

#[test]
fn a_lost_connection_is_no_other_trouble() {
    let mut model = live(120, 40, vec![]);
    for second in 1..=3 {
        send(&mut model, Message::Tick(at(second)));
        answer(&mut model, stats());
    }
    send(
        &mut model,
        Message::Response(Response::Stats(Err("refused".to_owned()))),
    );
    let lost = StreamEvent::Lost {
        why: "connection reset".to_owned(),
        retry_in: Duration::from_secs(60),
    };
    send(&mut model, Message::Stream(lost));
    for second in 4..=9 {
        send(&mut model, Message::Tick(at(second)));
    }
    assert_eq!((model.trouble(), model.silence()), (None, None));
    assert!(!shown(&model).contains("refused"), "{}", shown(&model));
    let known: Vec<_> = model.history.last(600).map(|sample| sample.is_known).collect();
    assert_eq!(known, [true, true, true, false, false, false, false, false, false]);
}

#[test]
fn a_pause_holds_what_the_rows_show() {
    let mut ann = record("ann", Status::Online, 5);
    ann.since = Some(ago(10));
    let mut model = live(120, 24, vec![ann, record("bob", Status::Online, 6)]);
    let row = |model: &Model| {
        shown(model)
            .lines()
            .find(|line| line.contains("ann"))
            .map(str::to_owned)
    };
    let live_row = row(&model).unwrap();
    send(&mut model, Message::Tick(at(30)));
    let before = row(&model).unwrap();
    assert_ne!(live_row, before, "ages run");
    send(&mut model, Message::Key(crate::tui::key::Key::char(' ')));
    let changed = StreamEvent::Changed {
        now: WALL,
        users: vec![presence::wire::record::Update::Record(record(
            "ann",
            Status::DoNotDisturb,
            9,
        ))],
    };
    send(&mut model, Message::Stream(changed));
    assert_eq!(row(&model).unwrap(), before);
    send(&mut model, Message::Tick(at(90)));
    assert_eq!(row(&model).unwrap(), before, "ages stand still too");
    send(&mut model, Message::Key(crate::tui::key::Key::char(' ')));
    let after = row(&model).unwrap();
    assert!(
        after.contains("DO_NOT_DISTURB") && !after.contains(" 0s"),
        "{before} {after}"
    );
}

#[test]
fn an_operators_custom_status_is_told_as_such() {
    let mut changed = record("ann", Status::Idle, 9);
    changed.custom_status = Some(presence::CustomStatus::Idle);
    for (set_by, is_told) in [(presence::Actor::User, false), (presence::Actor::Operator, true)] {
        let mut model = live(160, 40, vec![record("ann", Status::Online, 5)]);
        changed.custom_status_set_by = Some(set_by);
        let users = vec![presence::wire::record::Update::Record(changed.clone())];
        send(&mut model, Message::Stream(StreamEvent::Changed { now: WALL, users }));
        assert_eq!(shown(&model).contains("by an operator"), is_told, "{}", shown(&model));
    }
    // Of a change of another kind, and of a user who comes, it is not told who once set the custom status.
    let mut model = live(160, 40, vec![changed.clone()]);
    (changed.status, changed.revision) = (Status::Online, presence::Revision::new(10));
    let mut newcomer = record("bob", Status::Online, 11);
    newcomer.custom_status = Some(presence::CustomStatus::Idle);
    newcomer.custom_status_set_by = Some(presence::Actor::Operator);
    let users = [changed, newcomer].map(presence::wire::record::Update::Record);
    let users = users.into_iter().collect();
    send(&mut model, Message::Stream(StreamEvent::Changed { now: WALL, users }));
    let text = shown(&model);
    assert!(text.contains("bob") && !text.contains("by an operator"), "{text}");
}

#[test]
fn the_detail_tells_whether_a_connection_said_idle_or_is_silent() {
    for (cause, expected) in [
        (presence::IdleCause::Said, "said so 5m ago"),
        (presence::IdleCause::Silent, "silent for 5m"),
        (presence::IdleCause::Inherited, "as when lost"),
    ] {
        let mut model = live(160, 40, vec![record("ann", Status::Idle, 5)]);
        super::frames::press(&mut model, "↓\n");
        let mut explain = super::explain("ann");
        explain.sessions[0].idle_cause = Some(cause);
        explain.sessions[0].idle_since = Some(super::ago(300));
        explained(&mut model, explain);
        assert!(shown(&model).contains(expected), "{}", shown(&model));
    }
}

#[test]
fn silent_seconds_are_gaps() {
    let mut model = live(120, 40, vec![]);
    for second in 1..=5 {
        send(&mut model, Message::Tick(at(second)));
        answer(&mut model, stats());
    }
    for second in 6..=9 {
        send(&mut model, Message::Tick(at(second)));
    }
    let known: Vec<_> = model.history.last(600).map(|sample| sample.is_known).collect();
    assert_eq!(known, [true, true, true, true, true, false, false, false, false]);
}

/// The style of the first cell of a text.
fn style_of(buffer: &Buffer, text: &str) -> Style {
    let symbols: Vec<&str> = buffer.content.iter().map(|cell| cell.symbol()).collect();
    let letters: Vec<String> = text.chars().map(String::from).collect();
    let at = symbols.windows(letters.len()).position(|window| window == letters);
    buffer.content[at.unwrap_or_else(|| panic!("{text} is not shown"))].style()
}

#[test]
fn a_lost_connection_is_stale_in_every_layout() {
    for (width, height) in [(120, 40), (80, 24), (40, 10), (40, 3), (40, 2), (30, 1)] {
        let mut model = live(width, height, vec![record("ann", Status::Online, 5)]);
        assert!(!shown(&model).contains("STALE"));
        let lost = StreamEvent::Lost {
            why: "connection reset".to_owned(),
            retry_in: Duration::from_secs(60),
        };
        send(&mut model, Message::Stream(lost));
        assert!(
            shown(&model).contains("STALE 0s"),
            "{width}x{height}\n{}",
            shown(&model)
        );
    }
}

#[test]
fn a_stall_colours_the_lag_for_a_minute_and_stays_counted() {
    let mut model = live(200, 60, vec![]);
    let theme = Theme::rich();
    let style_of_lag = |model: &Model| style_of(&frame(model, &theme), "lag 0");
    let healthy = style_of_lag(&model);
    assert!(!shown(&model).contains("stall"));
    stalled(&mut model);
    assert!(shown(&model).contains("3 stalls, last 1.6 s"), "{}", shown(&model));
    assert_eq!(style_of_lag(&model).fg, theme.unusual().fg);
    assert_ne!(style_of_lag(&model), healthy);
    let mut later = stats();
    later.stalls = model.stats.as_ref().unwrap().stalls;
    later.now = at(61).wall;
    send(&mut model, Message::Tick(at(61)));
    answer(&mut model, later);
    assert_eq!(style_of_lag(&model), healthy);
    let shown = shown(&model);
    assert!(shown.contains("● live") && shown.contains(" · 3 stalls · "), "{shown}");
}

#[test]
fn a_custom_status_that_could_not_be_read_is_not_told_as_set() {
    let mut model = live(120, 40, vec![record("ann", Status::Online, 5)]);
    model.detail = Some(crate::tui::model::Detail::new(user("ann")));
    let explain = Explain {
        degraded: true,
        ..explain("ann")
    };
    explained(&mut model, explain);
    let shown = shown(&model);
    let line = shown.lines().find(|line| line.contains("custom status "));
    assert!(
        line.is_some_and(|line| line.contains("degraded") && !line.contains("set by")),
        "{shown}"
    );
}
