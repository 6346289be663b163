//! Positions and rectangles on the screen, in cells. `layout` uses them for drawing and for mouse events, and keeps the model free of
//! the drawing library.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// A cell, counted from 0 from the left and from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) x: u16,
    pub(crate) y: u16,
}

impl Position {
    pub(crate) const fn new(x: u16, y: u16) -> Self {
        Self { x, y }
    }
}

/// A rectangle; may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Area {
    pub(crate) x: u16,
    pub(crate) y: u16,
    pub(crate) width: u16,
    pub(crate) height: u16,
}

impl Area {
    pub(crate) const fn whole(size: Size) -> Self {
        Self {
            x: 0,
            y: 0,
            width: size.width,
            height: size.height,
        }
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.width == 0 || self.height == 0
    }

    pub(crate) const fn top_left(self) -> Position {
        Position::new(self.x, self.y)
    }

    pub(crate) const fn holds(self, Position { x, y }: Position) -> bool {
        x >= self.x && x - self.x < self.width && y >= self.y && y - self.y < self.height
    }

    /// The top `rows`, and the rest.
    pub(crate) fn split_top(self, rows: u16) -> (Self, Self) {
        let rows = rows.min(self.height);
        let top = Self { height: rows, ..self };
        let rest = Self {
            y: self.y + rows,
            height: self.height - rows,
            ..self
        };
        (top, rest)
    }

    /// All but the bottom `rows`, and these.
    pub(crate) fn split_bottom(self, rows: u16) -> (Self, Self) {
        self.split_top(self.height.saturating_sub(rows))
    }

    /// The left `columns`, and the rest.
    pub(crate) fn split_left(self, columns: u16) -> (Self, Self) {
        let columns = columns.min(self.width);
        let left = Self { width: columns, ..self };
        let rest = Self {
            x: self.x + columns,
            width: self.width - columns,
            ..self
        };
        (left, rest)
    }

    /// All but the right `columns`, and these.
    pub(crate) fn split_right(self, columns: u16) -> (Self, Self) {
        self.split_left(self.width.saturating_sub(columns))
    }

    /// Without a border of one cell.
    pub(crate) fn inside(self) -> Self {
        if self.width < 2 || self.height < 2 {
            return Self {
                width: 0,
                height: 0,
                ..self
            };
        }
        Self {
            x: self.x + 1,
            y: self.y + 1,
            width: self.width - 2,
            height: self.height - 2,
        }
    }

    /// A rectangle of this size in the middle, as large as fits.
    pub(crate) fn centred(self, width: u16, height: u16) -> Self {
        let (width, height) = (width.min(self.width), height.min(self.height));
        Self {
            x: self.x + (self.width - width) / 2,
            y: self.y + (self.height - height) / 2,
            width,
            height,
        }
    }
}
