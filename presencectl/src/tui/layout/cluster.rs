//! Where the cluster is shown: in a panel of its own if there is room, else in one line of the tall overview.

use super::super::model::Model;
use super::{WIDE_COLUMNS, part};

/// From this height on there is a panel: the table and the change log keep most of the screen.
const PANEL_SCREEN_ROWS: u16 = 30;
/// The fewest rows of the panel: a border, a server, a heading and a node.
const PANEL_ROWS_MIN: u16 = 5;
/// So many nodes are seen at once where there is room: the fewest that survive the loss of one and a majority.
const FEW_NODES: usize = 3;

/// The lines of the cluster in the tall overview.
pub(super) fn overview_rows(model: &Model) -> u16 {
    u16::from(model.cluster().is_some() && !has_panel(model))
}

/// The rows of the panel, with its border, above others in `height` rows: at most a third of them, or what a few nodes need if at
/// least `kept` rows are left.
pub(super) fn panel_rows(model: &Model, height: u16, kept: u16) -> u16 {
    if !has_panel(model) {
        return 0;
    }
    let few = rows_for(model, model.nodes().len().min(FEW_NODES));
    let least = few.min(height.saturating_sub(kept)).max(PANEL_ROWS_MIN);
    rows_for(model, model.nodes().len()).min(part(height, 1, 3).max(least))
}

fn has_panel(model: &Model) -> bool {
    let has_room = model.size.width >= WIDE_COLUMNS || model.detail.is_none();
    model.cluster().is_some() && has_room && model.size.height >= PANEL_SCREEN_ROWS
}

/// A border, a line for each server, a heading, and so many nodes.
fn rows_for(model: &Model, nodes: usize) -> u16 {
    let servers = model.cluster().map_or(0, |cluster| cluster.redis.len());
    let lines = servers + usize::from(model.database_server().is_some()) + 1 + nodes;
    u16::try_from(lines + 2).unwrap_or(u16::MAX)
}
