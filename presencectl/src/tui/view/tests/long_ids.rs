//! Long ids in the table and in the detail, at several sizes.

use super::super::super::key::{Code, Key};
use super::super::super::layout::{Layout, menu_user};
use super::super::super::model::Panel;
use super::super::super::model::overlay::Overlay;
use super::*;

/// What a question about a user shows of its id, each line with the blank after it.
fn asked_about(id: &str, width: u16) -> Vec<String> {
    let mut model = live(width, 24, vec![record(id, Status::Online, 5)]);
    super::frames::press(&mut model, "↓K");
    let Some(Overlay::Menu(menu)) = &model.overlay else {
        panic!("no question");
    };
    let (lines, buffer) = (menu_user(&model, menu), frame(&model, &Theme::plain()));
    let line = |y| {
        let cells = (lines.x..=lines.x + lines.width).map(|x| buffer[(x, y)].symbol());
        cells.collect()
    };
    (lines.y..lines.y + lines.height).map(line).collect()
}

#[test]
fn a_question_shows_the_whole_id_of_a_user_or_both_its_ends() {
    let id = |length: usize| format!("{:x<length$}-0007", "tenant/", length = length - 5);
    for length in [12, 55, 56, 57, 58, 72, 73, 128] {
        let (id, shown) = (id(length), asked_about(&id(length), 80));
        assert!(shown.iter().all(|line| line.ends_with(' ')), "{length} {shown:?}");
        let whole: String = shown.iter().map(|line| line.trim()).collect();
        assert_eq!(whole, id, "{length} {shown:?}");
    }
    let shown = asked_about(&id(128), 40);
    let [first, last] = shown.as_slice() else {
        panic!("{shown:?}")
    };
    assert!(first.starts_with("tenant/x") && last.ends_with("x-0007 "), "{shown:?}");
}

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
