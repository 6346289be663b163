//! The columns of the users table.

/// From the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) enum UserColumn {
    #[default]
    User,
    Status,
    Reason,
    Since,
    LastActive,
    LastSeen,
    Sessions,
    Node,
}

impl UserColumn {
    pub(crate) const ALL: [Self; 8] = [
        Self::User,
        Self::Status,
        Self::Reason,
        Self::Since,
        Self::LastActive,
        Self::LastSeen,
        Self::Sessions,
        Self::Node,
    ];

    pub(crate) const fn heading(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::Status => "STATUS",
            Self::Reason => "REASON",
            Self::Since => "SINCE",
            Self::LastActive => "LAST ACTIVE",
            Self::LastSeen => "LAST SEEN",
            Self::Sessions => "SESSIONS",
            Self::Node => "NODE",
        }
    }

    /// The next column; the last one wraps around.
    pub(crate) fn next(self) -> Self {
        Self::ALL[(self.index() + 1) % Self::ALL.len()]
    }

    /// The previous column; the first one wraps around.
    pub(crate) fn previous(self) -> Self {
        Self::ALL[(self.index() + Self::ALL.len() - 1) % Self::ALL.len()]
    }

    const fn index(self) -> usize {
        self as usize
    }
}
