//! Frames, compared with those in `snapshots/`. `UPDATE_SNAPSHOTS=1 cargo test -p presencectl` updates them; review the
//! differences.

mod cluster;
mod frames;
mod long_ids;
mod trouble;
mod untrusted_text;

use std::path::Path;
use std::time::Duration;

use presence::wire::rest::{
    Counts, Explain, ExplainGrace, ExplainNext, ExplainPreference, ExplainSession, LimitStats, RateStats, ReportCounts,
    SessionStats, StallStats, Stats, StoreStats,
};
use presence::{Activity, Actor, CustomStatus, Mono, Now, Reason, Status, Wall};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::super::geometry::Size;
use super::super::message::{Message, Response, StreamEvent};
use super::super::model::Model;
use super::super::model::tests::{record, user};
use super::super::theme::Theme;
use super::super::update::{apply_pending, update};
use crate::output::explain_text::tests::connection;

/// 2026-11-23 05:39:11 UTC.
const WALL: Wall = Wall::from_millis(1_795_412_351_000);

/// Seconds after that.
fn at(seconds: u64) -> Now {
    Now {
        mono: Mono::from_millis(seconds * 1000),
        wall: WALL.after(Duration::from_secs(seconds)),
    }
}

fn ago(seconds: i64) -> Wall {
    Wall::from_millis(WALL.as_millis() - seconds * 1000)
}

fn send(model: &mut Model, message: Message) {
    update(model, message);
    apply_pending(model);
}

fn empty(width: u16, height: u16) -> Model {
    Model::new(Size { width, height }, at(0))
}

fn connect(model: &mut Model) {
    let connected = StreamEvent::Connected {
        server: "http://127.0.0.1:7420".to_owned(),
        node: "here".to_owned(),
        version: "0.1.0".to_owned(),
    };
    send(model, Message::Stream(connected));
}

/// A connected model with these users and statistics.
fn live(width: u16, height: u16, users: Vec<presence::wire::record::Record>) -> Model {
    let mut model = empty(width, height);
    connect(&mut model);
    let users = users.into_iter().map(presence::wire::record::Update::Record).collect();
    let snapshot = StreamEvent::Snapshot {
        now: WALL,
        users,
        resumed: false,
        done: true,
    };
    send(&mut model, Message::Stream(snapshot));
    send(&mut model, Message::Response(Response::Stats(Ok(Box::new(stats())))));
    send(
        &mut model,
        Message::Response(Response::RoundTrip(Duration::from_micros(640))),
    );
    model
}

/// Sixty users of every status, and a minute with changes.
fn crowd(width: u16, height: u16) -> Model {
    let person = |number: u64| {
        let status = Status::ALL[usize::try_from(number % 7).unwrap().saturating_sub(4).min(2)];
        let mut record = record(&format!("person-{number:03}"), status, 1000 + number);
        record.since = Some(ago(i64::try_from(number * 97).unwrap()));
        record.last_seen = Some(ago(i64::try_from(number % 31).unwrap()));
        record.last_active = (!number.is_multiple_of(5)).then(|| ago(i64::try_from(number * 13).unwrap()));
        record.sessions = Some(u32::try_from(1 + number % 3).unwrap());
        record.reason = Some(match status {
            Status::Online => Reason::Active,
            Status::Idle => Reason::Inactive,
            _ => Reason::Custom,
        });
        record
    };
    let mut model = live(width, height, (0..60).map(person).collect());
    for second in 1..=60_u64 {
        for number in 0..second % 4 {
            let status = Status::ALL[usize::try_from((second + number) % 4).unwrap()];
            let mut changed = record(
                &format!("person-{:03}", (second * 7 + number) % 60),
                status,
                2000 + second * 4 + number,
            );
            changed.since = Some(at(second).wall);
            changed.last_seen = changed.since;
            changed.last_active = changed.since;
            changed.reason = Some(if status == Status::Offline {
                Reason::NoSession
            } else {
                Reason::Custom
            });
            let event = StreamEvent::Changed {
                now: at(second).wall,
                users: vec![presence::wire::record::Update::Record(changed)],
            };
            send(&mut model, Message::Stream(event));
        }
        send(&mut model, Message::Tick(at(second)));
        let stats = Stats {
            now: at(second + 1).wall,
            ..stats()
        };
        send(&mut model, Message::Response(Response::Stats(Ok(Box::new(stats)))));
    }
    model
}

fn stats() -> Stats {
    Stats {
        proxy_named: false,
        reload: None,
        tls: None,
        cluster: None,
        now: WALL,
        node: "here".to_owned(),
        version: "0.1.0".to_owned(),
        schema_version: 1,
        uptime_seconds: 12_000,
        users: Counts::default(),
        sessions: SessionStats {
            connections: 1_234,
            observers: 1,
            reports: 56,
            in_grace: 3,
            watchers: 1_000,
            watches: 50_000,
        },
        rates: RateStats {
            changes_per_second: 12.3,
            deliveries_per_second: 600.0,
            connects_per_second: 1.0,
            delivery_lag_seconds: 0.000_4,
            delivery_lag_max_seconds: 0.012,
        },
        store: StoreStats {
            server: None,
            kind: "sqlite".to_owned(),
            writable: true,
            error: None,
            pending_writes: 0,
        },
        stalls: StallStats::default(),
        limits: LimitStats::default(),
    }
}

/// An explanation with a connection, a report, a grace period and a timer.
fn explain(name: &str) -> Explain {
    Explain {
        now: WALL,
        user_id: user(name),
        status: Status::Idle,
        rule: 4,
        reason: Reason::Inactive,
        degraded: false,
        sessions: vec![
            ExplainSession {
                node: Some("here".to_owned()),
                last_heard: ago(3),
                last_active: Some(ago(250)),
                activity: Some(Activity::Active),
                idle_at: Some(at(50).wall),
                ..connection("c725beab-1", ago(3600))
            },
            ExplainSession {
                idle: true,
                activity: Some(Activity::Idle),
                source: Some("mobile".to_owned()),
                reported: Some(CustomStatus::Idle),
                counts: Some(ReportCounts::Yes),
                ends_at: Some(at(210).wall),
                ..connection("report:mobile", ago(90))
            },
        ],
        nodes: Vec::new(),
        grace: Some(ExplainGrace {
            until: at(4).wall,
            idle: true,
            sessions: Some(1),
        }),
        choice: ExplainPreference {
            custom_status: CustomStatus::Online,
            set_at: Some(ago(7200)),
            set_by: Some(Actor::Operator),
            active_until: None,
        },
        tokens_revoked_before: None,
        next: vec![ExplainNext {
            at: at(210).wall,
            why: "OFFLINE: the last session or grace period ends".to_owned(),
        }],
    }
}

fn explained(model: &mut Model, explain: Explain) {
    let answer = Response::Explained {
        user: explain.user_id.clone(),
        result: Ok(Box::new(explain)),
    };
    send(model, Message::Response(answer));
}

fn frame(model: &Model, theme: &Theme) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, model.size.width, model.size.height));
    super::draw(model, theme, &mut buffer);
    buffer
}

/// The characters of a frame.
fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width.max(1));
    let mut text = String::new();
    for line in buffer.content.chunks(width) {
        let mut skipped = 0;
        let mut shown = String::new();
        for cell in line {
            if skipped == 0 {
                shown.push_str(cell.symbol());
                skipped = unicode_width::UnicodeWidthStr::width(cell.symbol()).max(1);
            }
            skipped -= 1;
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

/// The styles of a frame: a letter per cell, with a legend.
fn styles(buffer: &Buffer) -> String {
    let mut known: Vec<Style> = Vec::new();
    let mut text = String::new();
    let width = usize::from(buffer.area.width.max(1));
    for line in buffer.content.chunks(width) {
        for cell in line {
            let style = cell.style();
            let index = known.iter().position(|other| *other == style).unwrap_or_else(|| {
                known.push(style);
                known.len() - 1
            });
            text.push(char::from(b'a' + u8::try_from(index).unwrap()));
        }
        text.push('\n');
    }
    for (letter, style) in (b'a'..).zip(&known) {
        let colour = |colour: Option<Color>| colour.filter(|colour| *colour != Color::Reset);
        let modifiers = Modifier::empty().union(style.add_modifier);
        let (fg, bg) = (colour(style.fg), colour(style.bg));
        text.push_str(&format!("{}: {fg:?} on {bg:?}, {modifiers:?}\n", char::from(letter)));
    }
    text
}

/// Compares a frame with its snapshot.
fn check(name: &str, shown: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/tui/view/snapshots")
        .join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, shown).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == shown,
        "{name} differs.\n--- as it was\n{expected}\n--- as it is\n{shown}"
    );
}
