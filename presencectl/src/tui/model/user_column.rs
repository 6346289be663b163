//! The columns of the table of users, in the order in which they stand.

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) enum UserColumn {
    #[default]
    User,
    Status,
    Why,
    Since,
    LastActive,
    LastSeen,
    Sessions,
    Node,
}

impl UserColumn {
    /// Every column, from the left.
    pub(crate) const ALL: [Self; 8] = [
        Self::User,
        Self::Status,
        Self::Why,
        Self::Since,
        Self::LastActive,
        Self::LastSeen,
        Self::Sessions,
        Self::Node,
    ];

    /// Its heading.
    pub(crate) const fn heading(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::Status => "STATUS",
            Self::Why => "WHY",
            Self::Since => "SINCE",
            Self::LastActive => "LAST ACTIVE",
            Self::LastSeen => "LAST SEEN",
            Self::Sessions => "SESSIONS",
            Self::Node => "NODE",
        }
    }

    /// The next one to the right, and from the last one the first.
    pub(crate) fn next(self) -> Self {
        Self::ALL[(self.index() + 1) % Self::ALL.len()]
    }

    /// The next one to the left, and from the first one the last.
    pub(crate) fn previous(self) -> Self {
        Self::ALL[(self.index() + Self::ALL.len() - 1) % Self::ALL.len()]
    }

    const fn index(self) -> usize {
        self as usize
    }
}
