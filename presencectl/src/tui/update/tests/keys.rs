//! Every key in the help has an effect, and no other key has.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::super::keymap::{self, BINDINGS, KeyContext};
use super::super::super::layout::size;
use super::super::super::model::overlay::{CommandPalette, Menu, Overlay, Prompt};
use super::super::super::model::text_input::TextInput;
use super::super::super::model::{Detail, Panel, TimeDisplay};
use super::*;

/// Every key that a terminal can send.
fn every_key() -> BTreeSet<Key> {
    let codes = [
        Code::Enter,
        Code::Esc,
        Code::Tab,
        Code::BackTab,
        Code::Backspace,
        Code::Delete,
        Code::Up,
        Code::Down,
        Code::Left,
        Code::Right,
        Code::Home,
        Code::End,
        Code::PageUp,
        Code::PageDown,
    ];
    let mut keys: BTreeSet<Key> = codes.map(Key::plain).into();
    keys.extend((1..=12).map(|number| Key::plain(Code::F(number))));
    for c in (' '..='~').chain(['é', '漢']) {
        keys.insert(Key::char(c));
        keys.insert(Key::ctrl(c));
        keys.insert(Key {
            alt: true,
            ..Key::char(c)
        });
    }
    for code in codes {
        keys.insert(Key {
            ctrl: true,
            ..Key::plain(code)
        });
    }
    keys
}

/// Models for the keys of a context: the effect of each key is visible in one of them.
fn models(context: KeyContext) -> Vec<Model> {
    (0..4).map(|variant| model(context, variant)).collect()
}

fn model(context: KeyContext, variant: u16) -> Model {
    let names: Vec<String> = (0..100).map(|number| format!("user-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut model = with(&names);
    for revision in 0..200 {
        let status = Status::ALL[revision % 3];
        update(&mut model, changed(names[revision % 100], status, revision as u64 + 2));
    }
    model.size = size(100, 15 + variant * 10);
    model.clock = at(5_000);
    if variant > 0 {
        model.table.select(&model.known_users, 50, 10);
        model.detail = Some(Detail {
            top: 5,
            drawn_lines: std::cell::Cell::new(100),
            ..Detail::new(user("user-07"))
        });
        model.change_log.scroll(-40, 10);
        model.times = TimeDisplay::Relative;
        model
            .table
            .set_filter(&model.known_users, keymap::Filter::Only(Status::Idle));
    }
    if variant == 2 {
        let lost = StreamEvent::Lost {
            why: "gone".to_owned(),
            retry_in: Duration::from_secs(1),
        };
        update(&mut model, Message::Stream(lost));
    }
    apply_pending(&mut model);
    enter_context(&mut model, context, variant);
    model
}

fn enter_context(model: &mut Model, context: KeyContext, variant: u16) {
    match context {
        KeyContext::Always | KeyContext::Anywhere | KeyContext::Users => model.panel = Panel::Users,
        KeyContext::ChangeLog => model.panel = Panel::ChangeLog,
        KeyContext::Detail => {
            model.panel = Panel::Detail;
            let detail = model.detail.get_or_insert_with(|| Detail::new(user("user-07")));
            detail.drawn_lines.set(100);
        }
        KeyContext::Search => {
            model.search = Some(TextInput::new("user 0"));
            model.table.set_query("user 0");
            apply_pending(model);
        }
        KeyContext::Palette => {
            model.overlay = Some(Overlay::Palette(CommandPalette {
                panel: KeyContext::Users,
                input: TextInput::new("sort by"),
                highlighted: 2,
            }));
        }
        KeyContext::Menu => {
            let user = user("user-07");
            let prompt = if variant.is_multiple_of(2) {
                Prompt::Kick(user)
            } else {
                Prompt::Status(user)
            };
            let highlighted = usize::from(variant > 1);
            model.overlay = Some(Overlay::Menu(Menu {
                highlighted,
                ..Menu::new(prompt)
            }));
        }
        KeyContext::Help => model.overlay = Some(Overlay::Help { top: 5 }),
    }
}

fn state(model: &Model) -> String {
    format!("{model:?}")
}

#[test]
fn every_key_in_the_help_has_an_effect() {
    for binding in BINDINGS {
        for key in binding.keys {
            let does_something = models(binding.context).iter_mut().any(|model| {
                let before = state(model);
                let effects = update(model, Message::Key(*key));
                !effects.is_empty() || state(model) != before
            });
            assert!(does_something, "{key} in {:?}: {}", binding.context, binding.help);
        }
    }
}

#[test]
fn a_key_that_is_not_in_the_help_has_no_effect() {
    let keys = every_key();
    for context in KeyContext::ALL {
        for key in &keys {
            let is_text = context.takes_text() && matches!(key.code, Code::Char(_)) && !key.ctrl && !key.alt;
            let stands_in = |wanted| keymap::action(wanted, *key).is_some();
            let looked_up = if matches!(context, KeyContext::Always | KeyContext::Anywhere) {
                KeyContext::Users
            } else {
                context
            };
            if is_text || stands_in(looked_up) {
                continue;
            }
            let mut model = model(context, 1);
            // Otherwise the next request would count as an effect of the key.
            model.detail.as_mut().unwrap().is_requested = true;
            let before = state(&model);
            assert_eq!(update(&mut model, Message::Key(*key)), [], "{key} in {context:?}");
            assert_eq!(state(&model), before, "{key} in {context:?}");
        }
    }
}

#[test]
fn every_command_of_the_palette_can_be_run() {
    for panel in [Panel::Users, Panel::ChangeLog, Panel::Detail] {
        for binding in keymap::commands(panel.key_context()) {
            let is_done = models(panel.key_context()).iter_mut().any(|model| {
                press(model, Key::char(':'));
                type_text(model, binding.help);
                let Some(Overlay::Palette(palette)) = &model.overlay else {
                    panic!("no palette")
                };
                assert!(
                    palette.matches().iter().any(|found| found.action == binding.action),
                    "{}",
                    binding.help
                );
                let before = state(model);
                let effects = press_code(model, Code::Enter);
                !effects.is_empty() || state(model) != before
            });
            assert!(is_done, "{}", binding.help);
        }
    }
}
