//! The position of the key hints in the footer, for drawing and for clicks.

use unicode_width::UnicodeWidthStr;

use super::super::key::Key;
use super::super::model::{ConnectionState, Model};
use super::Layout;
use crate::output::escape::escape;

/// Room for the reconnect key `R try now`, whatever else the footer shows.
const FIRST_KEY_COLUMNS: usize = 13;

/// A key hint with its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HintArea {
    pub(crate) key: Key,
    pub(crate) text: &'static str,
    /// The first cell, from the left of the screen.
    pub(crate) x: u16,
    /// Without the blanks before the next hint.
    pub(crate) width: u16,
}

/// The suggestion after a permanent failure, shown behind the key hints.
pub(crate) fn next_step(model: &Model) -> Option<String> {
    match &model.connection {
        ConnectionState::Ended { next: Some(next), .. } if model.overlay.is_none() && model.search.is_none() => {
            Some(format!("→ {}", escape(next)))
        }
        _ => None,
    }
}

/// The hints that fit completely.
pub(crate) fn hints(model: &Model) -> Vec<HintArea> {
    let footer = Layout::of(model).footer;
    let taken = next_step(model).map_or(0, |next| next.width());
    let room = usize::from(footer.width).saturating_sub(taken).max(FIRST_KEY_COLUMNS);
    let mut used = 0;
    let place = |(key, text): (Key, &'static str)| {
        let width = key.to_string().width() + 1 + text.width();
        let at = used;
        used += width + 2;
        (at + width <= room).then(|| HintArea {
            key,
            text,
            x: footer.x + u16::try_from(at).unwrap_or(u16::MAX),
            width: u16::try_from(width).unwrap_or(u16::MAX),
        })
    };
    model.hints().into_iter().map_while(place).collect()
}
