//! The state by itself: rows, order, selection.
