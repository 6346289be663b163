//! The layout of the screen: panels, rows, columns, overlays. Pure functions of the model, used for drawing, mouse
//! events and scrolling, which therefore agree.

mod cluster;
mod hints;
mod overlays;

pub(crate) use hints::{HintArea, hints, next_step};
use overlays::overlay;
pub(crate) use overlays::{help_rows, menu_user, overlay_entries, palette_top};

use super::geometry::Area;

use super::model::user_column::UserColumn;

use super::model::{Model, Panel, TimeDisplay};

/// From this width on, the change log and the detail are beside the table.
const WIDE_COLUMNS: u16 = 110;
/// From this height on, the overview has bars and sparklines: a line per status, one for the rates, and a border.
const TALL_ROWS: u16 = 20;
/// From this height on, the overview is one line.
const OVERVIEW_ROWS_MIN: u16 = 9;
/// Rows of the tall overview, with its border.
const OVERVIEW_ROWS: u16 = 6;
/// From this height on, the change log is below the table.
const STREAM_BODY_MIN: u16 = 13;
/// The change log keeps these rows below the cluster: a border and three changes.
const LOG_ROWS_MIN: u16 = 5;
/// The user column keeps at least this width when another column is added.
const USER_COLUMNS_MIN: u16 = 16;

/// The areas of the screen. An area that is not shown is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Layout {
    pub(crate) header: Area,
    /// With a border if higher than one line.
    pub(crate) overview: Area,
    /// With its border; empty if the daemon is alone.
    pub(crate) cluster: Area,
    /// With its border.
    pub(crate) users: Area,
    /// With its border.
    pub(crate) change_log: Area,
    /// With its border.
    pub(crate) detail: Area,
    pub(crate) footer: Area,
    /// Over the panels, with its border.
    pub(crate) overlay: Area,
}

impl Layout {
    pub(crate) fn of(model: &Model) -> Self {
        let size = model.size;
        let (header, rest) = Area::whole(size).split_top(u16::from(size.height >= 3));
        let (body, footer) = rest.split_bottom(u16::from(size.height >= 2));
        let mut layout = Self {
            header,
            footer,
            overlay: overlay(model),
            ..Self::default()
        };
        if model.is_zoomed {
            *layout.panel_mut(model.panel) = body;
            return layout;
        }
        let overview_rows = match size.height {
            0..OVERVIEW_ROWS_MIN => 0,
            OVERVIEW_ROWS_MIN..TALL_ROWS => 1,
            TALL_ROWS.. => OVERVIEW_ROWS + cluster::overview_rows(model),
        };
        let (overview, panels) = body.split_top(overview_rows);
        layout.overview = overview;
        if size.width >= WIDE_COLUMNS {
            layout.beside(panels, model);
        } else {
            layout.below(panels, model);
        }
        layout
    }

    fn beside(&mut self, panels: Area, model: &Model) {
        let (users, right) = panels.split_right(part(panels.width, 2, 5).clamp(44, 76));
        self.users = users;
        let detail_rows = match model.detail {
            Some(_) => part(right.height, 3, 5),
            None => 0,
        };
        let (detail, rest) = right.split_top(detail_rows);
        self.detail = detail;
        (self.cluster, self.change_log) = rest.split_top(cluster::panel_rows(model, rest.height, LOG_ROWS_MIN));
    }

    fn below(&mut self, panels: Area, model: &Model) {
        let (cluster, panels) = panels.split_top(cluster::panel_rows(model, panels.height, STREAM_BODY_MIN));
        self.cluster = cluster;
        if model.detail.is_some() {
            // Without room for both, the panel with the focus gets it all.
            let users_rows = match (panels.height, model.panel) {
                (10.., _) => part(panels.height, 2, 5),
                (_, Panel::Detail) => 0,
                (height, _) => height,
            };
            (self.users, self.detail) = panels.split_top(users_rows);
            if model.panel == Panel::ChangeLog {
                (self.change_log, self.users) = (self.users, Area::default());
            }
        } else if panels.height >= STREAM_BODY_MIN {
            (self.users, self.change_log) = panels.split_bottom((panels.height / 3).clamp(5, 14));
        } else if model.panel == Panel::ChangeLog {
            self.change_log = panels;
        } else {
            self.users = panels;
        }
    }

    fn panel_mut(&mut self, panel: Panel) -> &mut Area {
        match panel {
            Panel::Users => &mut self.users,
            Panel::ChangeLog => &mut self.change_log,
            Panel::Detail => &mut self.detail,
        }
    }

    pub(crate) const fn panel(&self, panel: Panel) -> Area {
        match panel {
            Panel::Users => self.users,
            Panel::ChangeLog => self.change_log,
            Panel::Detail => self.detail,
        }
    }

    /// The column headings.
    pub(crate) fn users_head(&self) -> Area {
        self.users.inside().split_top(1).0
    }

    pub(crate) fn users_rows(&self) -> Area {
        self.users.inside().split_top(1).1
    }

    /// How many rows a panel shows.
    pub(crate) fn rows_of(&self, panel: Panel) -> usize {
        usize::from(match panel {
            Panel::Users => self.users_rows().height,
            Panel::ChangeLog | Panel::Detail => self.panel(panel).inside().height,
        })
    }

    /// The line of a status in the tall overview: 0 is ONLINE, 1 IDLE, 2 DO_NOT_DISTURB.
    pub(crate) fn status_line(&self, index: u16) -> Area {
        let inside = self.overview.inside();
        let (_, rest) = inside.split_top(index);
        rest.split_top(1).0
    }
}

/// A fraction of a length, without overflow at any size a terminal may report.
fn part(length: u16, parts: u16, of: u16) -> u16 {
    let part = u32::from(length) * u32::from(parts) / u32::from(of.max(1));
    u16::try_from(part).unwrap_or(length)
}

/// A column with its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColumnArea {
    pub(crate) column: UserColumn,
    /// The first cell, from the left of the screen.
    pub(crate) x: u16,
    /// Without the blank before the next column.
    pub(crate) width: u16,
}

/// The columns that fit, from the left. The least important are omitted first; the sort column is always shown.
pub(crate) fn columns(model: &Model, area: Area) -> Vec<ColumnArea> {
    let ids = model.known_users.widest_id;
    columns_for(area, model.times, model.table.sorted_by(), ids)
}

/// Long ids take up to a third of the table before another column is added.
fn columns_for(area: Area, times: TimeDisplay, sorted: Option<UserColumn>, ids: usize) -> Vec<ColumnArea> {
    /// The most important first: as many as fit are shown.
    const BY_WORTH: [UserColumn; 7] = [
        UserColumn::Status,
        UserColumn::Since,
        UserColumn::Reason,
        UserColumn::LastActive,
        UserColumn::Sessions,
        UserColumn::LastSeen,
        UserColumn::Node,
    ];
    if area.width < 3 || area.is_empty() {
        return Vec::new();
    }
    let mut shown = vec![UserColumn::User];
    // Without the borders; the cursor's mark is at the left.
    let mut left = area.width.saturating_sub(2);
    let sorted = sorted.filter(|column| *column != UserColumn::User);
    let third = (area.width / 3).max(USER_COLUMNS_MIN);
    let wanted = u16::try_from(ids).unwrap_or(third).clamp(USER_COLUMNS_MIN, third);
    let by_worth = BY_WORTH.into_iter().filter(|column| sorted != Some(*column));
    let sorted = sorted.into_iter().map(|column| (column, USER_COLUMNS_MIN));
    for (column, user) in sorted.chain(by_worth.map(|column| (column, wanted))) {
        let width = width_of(column, times) + 1;
        // A narrower column may still fit.
        if left >= user + width {
            left -= width;
            shown.push(column);
        }
    }
    let mut x = area.x + 1;
    UserColumn::ALL
        .into_iter()
        .filter(|column| shown.contains(column))
        .map(|column| {
            let width = if column == UserColumn::User {
                left
            } else {
                width_of(column, times)
            };
            let place = ColumnArea { column, x, width };
            x += width + 1;
            place
        })
        .collect()
}

const fn width_of(column: UserColumn, times: TimeDisplay) -> u16 {
    match column {
        UserColumn::User => USER_COLUMNS_MIN,
        // A sign, a blank, the longest name.
        UserColumn::Status => 16,
        UserColumn::Reason => 10,
        UserColumn::Since | UserColumn::LastActive | UserColumn::LastSeen => match times {
            // "05:37:06Z" or "2026-11-22".
            TimeDisplay::Absolute => 11,
            // "59m 59s", and the sort arrow.
            TimeDisplay::Relative => 11,
            TimeDisplay::Both => 19,
        },
        UserColumn::Sessions => 9,
        UserColumn::Node => 12,
    }
}

#[cfg(test)]
pub(crate) const fn size(width: u16, height: u16) -> super::geometry::Size {
    super::geometry::Size { width, height }
}

#[cfg(test)]
mod tests {
    use presence::{Mono, Now, Wall};

    use super::super::model::overlay::Overlay;
    use super::*;

    fn model(width: u16, height: u16) -> Model {
        let clock = Now {
            mono: Mono::from_millis(0),
            wall: Wall::from_millis(0),
        };
        Model::new(size(width, height), clock)
    }

    fn is_inside(outer: Area, inner: Area) -> bool {
        inner.is_empty()
            || (inner.x >= outer.x
                && inner.y >= outer.y
                && inner.x + inner.width <= outer.x + outer.width
                && inner.y + inner.height <= outer.y + outer.height)
    }

    #[test]
    fn panels_stay_on_the_screen_and_never_overlap_at_any_size() {
        for width in 0..130 {
            for height in 0..60 {
                for panel in [Panel::Users, Panel::ChangeLog, Panel::Detail] {
                    for is_zoomed in [false, true] {
                        let mut model = model(width, height);
                        (model.panel, model.is_zoomed) = (panel, is_zoomed);
                        model.detail = (panel == Panel::Detail || height % 2 == 0)
                            .then(|| super::super::model::Detail::new(presence::UserId::new("ann").unwrap()));
                        model.overlay = Some(Overlay::Help { top: 0 });
                        let layout = Layout::of(&model);
                        let parts = [
                            layout.header,
                            layout.overview,
                            layout.users,
                            layout.change_log,
                            layout.detail,
                            layout.footer,
                        ];
                        let screen = Area::whole(model.size);
                        assert!(parts.iter().all(|part| is_inside(screen, *part)), "{layout:?}");
                        assert!(is_inside(screen, layout.overlay));
                        let cells: u32 = parts
                            .iter()
                            .map(|part| u32::from(part.width) * u32::from(part.height))
                            .sum();
                        assert!(cells <= u32::from(width) * u32::from(height), "{layout:?}");
                        assert!(
                            !layout.panel(panel).is_empty() || width == 0 || height < 4,
                            "{width}x{height} {panel:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn columns_fit_and_a_wider_table_has_more_of_them() {
        let mut before = 0;
        for (ids, width) in [0, 36, 128]
            .into_iter()
            .flat_map(|ids| (3..230).map(move |width| (ids, width)))
        {
            let area = Area {
                x: 3,
                width,
                height: 1,
                y: 0,
            };
            let columns = columns_for(area, TimeDisplay::Both, None, ids);
            assert!(columns.len() >= before || width == 3, "{width}");
            before = columns.len();
            let last = columns.last().unwrap();
            assert!(last.x + last.width <= area.x + width, "{width}: {columns:?}");
        }
        assert_eq!(before, UserColumn::ALL.len());
    }

    #[test]
    fn the_user_column_grows_with_the_table_for_long_ids() {
        let user = |width, ids| {
            let area = Area {
                x: 1,
                width,
                height: 1,
                y: 0,
            };
            columns_for(area, TimeDisplay::Both, None, ids)[0].width
        };
        // The tables of screens of 80, 120, 160 and 200 columns, and of a zoomed one.
        let tables = [78, 70, 94, 120, 198];
        assert_eq!(tables.map(|width| user(width, 10)), [18, 20, 24, 20, 85]);
        assert_eq!(tables.map(|width| user(width, 36)), [28, 31, 34, 40, 85]);
        assert_eq!(tables.map(|width| user(width, 128)), [28, 31, 34, 40, 85]);
    }

    #[test]
    fn the_sort_column_is_shown_if_any_column_fits() {
        for (width, times) in [
            (38, TimeDisplay::Both),
            (68, TimeDisplay::Both),
            (78, TimeDisplay::Relative),
        ] {
            let area = Area {
                x: 1,
                width,
                height: 1,
                y: 0,
            };
            for sorted in UserColumn::ALL {
                let columns = columns_for(area, times, Some(sorted), 128);
                assert!(
                    columns.iter().any(|place| place.column == sorted),
                    "{width}: {sorted:?}"
                );
            }
        }
    }
}
