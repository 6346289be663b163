//! Converts the terminal's events to messages; others are dropped.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::super::geometry::Position;
use super::super::geometry::Size;
use super::super::key::{Code, Gesture, Key, Mouse};
use super::super::message::Message;

pub(crate) fn message(event: Event) -> Option<Message> {
    match event {
        Event::Key(event) => key(event).map(Message::Key),
        Event::Mouse(event) => mouse(event).map(Message::Mouse),
        Event::Paste(text) => Some(Message::Paste(text)),
        Event::Resize(width, height) => Some(Message::Resized(Size { width, height })),
        Event::FocusGained | Event::FocusLost => None,
    }
}

fn key(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let code = match event.code {
        // Some terminals send Tab with Shift, some BackTab.
        KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => Code::BackTab,
        KeyCode::Char(c) => Code::Char(c),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        KeyCode::F(number) => Code::F(number),
        _ => return None,
    };
    Some(Key {
        code,
        ctrl: event.modifiers.contains(KeyModifiers::CONTROL),
        alt: event.modifiers.contains(KeyModifiers::ALT),
    })
}

fn mouse(event: MouseEvent) -> Option<Mouse> {
    let gesture = match event.kind {
        MouseEventKind::Down(MouseButton::Left) => Gesture::Click,
        MouseEventKind::ScrollUp => Gesture::WheelUp,
        MouseEventKind::ScrollDown => Gesture::WheelDown,
        _ => return None,
    };
    Some(Mouse {
        gesture,
        at: Position::new(event.column, event.row),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(code: KeyCode, modifiers: KeyModifiers) -> Option<Message> {
        message(Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn keys_are_converted_with_shift_in_the_character() {
        let none = KeyModifiers::NONE;
        assert_eq!(
            pressed(KeyCode::Char('G'), KeyModifiers::SHIFT),
            Some(Message::Key(Key::char('G')))
        );
        assert_eq!(
            pressed(KeyCode::Char('c'), KeyModifiers::CONTROL),
            Some(Message::Key(Key::ctrl('c')))
        );
        assert_eq!(
            pressed(KeyCode::Tab, KeyModifiers::SHIFT),
            Some(Message::Key(Key::plain(Code::BackTab)))
        );
        assert_eq!(pressed(KeyCode::F(1), none), Some(Message::Key(Key::plain(Code::F(1)))));
        assert_eq!(pressed(KeyCode::CapsLock, none), None);
    }

    #[test]
    fn a_key_release_is_ignored() {
        let event = KeyEvent::new_with_kind(KeyCode::Char('q'), KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(message(Event::Key(event)), None);
    }

    #[test]
    fn only_mouse_clicks_and_the_wheel_are_converted() {
        let at = |kind| {
            message(Event::Mouse(MouseEvent {
                kind,
                column: 3,
                row: 4,
                modifiers: KeyModifiers::NONE,
            }))
        };
        let click = Mouse {
            gesture: Gesture::Click,
            at: Position::new(3, 4),
        };
        assert_eq!(at(MouseEventKind::Down(MouseButton::Left)), Some(Message::Mouse(click)));
        assert_eq!(at(MouseEventKind::Down(MouseButton::Right)), None);
        assert_eq!(at(MouseEventKind::Moved), None);
    }
}
