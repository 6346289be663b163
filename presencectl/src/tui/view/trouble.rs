//! The words for what is wrong with the daemon: a label that fits into every header.

use std::time::Duration;

use ratatui::text::Span;

use super::super::model::trouble::Trouble;
use super::painter::{Painter, span};

pub(super) fn label(trouble: &Trouble, painter: &Painter) -> Span<'static> {
    let theme = painter.theme;
    match trouble {
        Trouble::Silent(length) => span(format!(" NO ANSWER {}s ", length.as_secs()), theme.bad()),
        Trouble::NotWritable => span(" STORE NOT WRITABLE ", theme.bad()),
        Trouble::RedisUnreachable => span(" REDIS UNREACHABLE ", theme.bad()),
        Trouble::Stale => span(" RECORDS STALE ", theme.bad()),
        Trouble::NodeSilent => span("◌ a node is silent", theme.unusual()),
        Trouble::NoStatistics(_) => span("◌ no statistics", theme.unusual()),
        Trouble::StoreError(_) => span("◌ store error", theme.unusual()),
        Trouble::Stalled(length) => span(format!("◌ stalled {}", seconds(*length)), theme.unusual()),
    }
}

/// `1.6 s`.
pub(super) fn seconds(length: Duration) -> String {
    format!("{:.1} s", length.as_secs_f64())
}
