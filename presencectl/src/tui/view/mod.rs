//! How it looks: a picture of the model, one panel a file. Where things lie is in `layout`, their colours in `theme`; nothing here changes
//! anything.

mod detail;
mod footer;
mod format;
mod header;
mod help;
mod menu;
mod overview;
mod palette;
mod pen;
mod sparkline;
mod stream;
#[cfg(test)]
mod tests;
mod users;

use ratatui::buffer::Buffer;

use super::layout::Layout;
use super::model::Model;
use super::model::overlay::Overlay;
use super::theme::Theme;
use pen::Pen;

/// Draws the model.
pub(crate) fn draw(model: &Model, theme: &Theme, buffer: &mut Buffer) {
    let layout = Layout::of(model);
    let mut pen = Pen::new(buffer, *theme);
    overview::draw(model, &layout, &mut pen);
    users::draw(model, &layout, &mut pen);
    detail::draw(model, &layout, &mut pen);
    stream::draw(model, &layout, &mut pen);
    if model.link.stale_since().is_some() {
        for area in [layout.overview, layout.users, layout.detail, layout.stream] {
            pen.restyle(area, theme.stale());
        }
    }
    header::draw(model, layout.header, &mut pen);
    footer::draw(model, layout.footer, &mut pen);
    match &model.overlay {
        Some(Overlay::Help { top }) => help::draw(*top, layout.overlay, &mut pen),
        Some(Overlay::Palette(palette)) => palette::draw(model, palette, layout.overlay, &mut pen),
        Some(Overlay::Menu(menu)) => menu::draw(model, menu, layout.overlay, &mut pen),
        None => {}
    }
}
