//! Drawing: a frame from the model, one file per panel. Positions are in `layout`, colours in `theme`; drawing does not
//! change the state.

mod change_log;
mod cluster;
mod command_palette;
mod detail;
mod footer;
mod format;
mod header;
mod help;
mod long_id;
mod menu;
mod overview;
mod painter;
mod sparkline;
#[cfg(test)]
mod tests;
mod trouble;
mod users;

use ratatui::buffer::Buffer;

use super::layout::Layout;
use super::model::Model;
use super::model::overlay::Overlay;
use super::theme::Theme;
use painter::Painter;

pub(crate) fn draw(model: &Model, theme: &Theme, buffer: &mut Buffer) {
    let layout = Layout::of(model);
    let mut painter = Painter::new(buffer, *theme);
    overview::draw(model, &layout, &mut painter);
    cluster::draw(model, &layout, &mut painter);
    users::draw(model, &layout, &mut painter);
    detail::draw(model, &layout, &mut painter);
    change_log::draw(model, &layout, &mut painter);
    if model.connection.stale_since().is_some() {
        for area in [
            layout.overview,
            layout.cluster,
            layout.users,
            layout.detail,
            layout.change_log,
        ] {
            painter.restyle(area, theme.stale());
        }
    }
    match layout.header.is_empty() {
        true => header::draw_trouble(model, &mut painter),
        false => header::draw(model, layout.header, &mut painter),
    }
    footer::draw(model, layout.footer, &mut painter);
    match &model.overlay {
        Some(Overlay::Help { top }) => help::draw(*top, layout.overlay, &mut painter),
        Some(Overlay::Palette(palette)) => command_palette::draw(model, palette, layout.overlay, &mut painter),
        Some(Overlay::Menu(menu)) => menu::draw(model, menu, layout.overlay, &mut painter),
        None => {}
    }
}
