//! Long ids in the table and in the detail, at several sizes.

use super::super::super::key::{Code, Key};
use super::super::super::layout::Layout;
use super::super::super::model::Panel;
use super::*;

/// Ids that only their ends tell apart.
#[test]
fn long_ids_differ_at_every_size_and_are_whole_in_the_detail() {
    let ids: Vec<String> = (1..8)
        .map(|n| format!("tenant-acme-production-europe/department-of-sales/user-000{n}"))
        .collect();
    let records = || ids.iter().map(|id| record(id, Status::Online, 5)).collect();
    for (width, height) in [(80, 24), (120, 40), (200, 60), (60, 24), (40, 10)] {
        let mut model = live(width, height, records());
        let listed = text(&frame(&model, &Theme::rich()));
        let name = format!("long-ids-{width}x{height}");
        check(&name, &listed);
        let rows = Layout::of(&model).users_rows();
        for n in (1..8).take(rows.height.into()) {
            assert!(listed.contains(&format!("-000{n} ")), "{listed}");
        }
        send(&mut model, Message::Key(Key::plain(Code::Down)));
        send(&mut model, Message::Key(Key::plain(Code::Enter)));
        explained(&mut model, explain(&ids[0]));
        model.panel = Panel::Detail;
        let detail = Layout::of(&model).detail;
        let inside: Vec<String> = text(&frame(&model, &Theme::rich()))
            .lines()
            .skip(usize::from(detail.y) + 1)
            .take(3)
            .map(|line| line.chars().skip(usize::from(detail.x) + 1).collect::<String>())
            .map(|line| line.trim_matches(['│', ' ']).to_owned())
            .collect();
        let title = text(&frame(&model, &Theme::rich())).contains(&ids[0]);
        assert!(
            title || inside.concat().starts_with(&ids[0]),
            "{}",
            text(&frame(&model, &Theme::rich()))
        );
    }
}
