//! The durable store: SQLite.
