//! What is so or not of a profile, in one byte: a million users hold one each.

/// One of the things that are so or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Flag {
    /// It was made without the store's answer, and is told so.
    Degraded = 1,
    /// The store has not answered yet. Once its user is OFFLINE in a cluster, a profile that was made without its answer is told
    /// as any other one, but what it assumes is not known.
    Unread = 2,
    /// Some stored time lay in the future: until it is written back, the disk has it still.
    Clamped = 4,
    /// Some time moved here, and the log of the cluster may not have it yet. Of no meaning on a node that is alone.
    Unlogged = 8,
    /// It was told as degraded last. In a cluster the log says when it no longer is: that is after the store has answered here.
    ToldDegraded = 16,
    /// It came into memory as the copy of the log has it: what the log said before is yet to be told here.
    ReadAhead = 32,
}

/// Those that are so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags(u8);

impl Flags {
    /// With these alone set.
    pub(super) fn of(flags: &[Flag]) -> Self {
        Self(flags.iter().fold(0, |all, flag| all | *flag as u8))
    }

    pub(super) const fn has(self, flag: Flag) -> bool {
        self.0 & flag as u8 != 0
    }

    pub(super) const fn set(&mut self, flag: Flag, is_so: bool) {
        match is_so {
            true => self.0 |= flag as u8,
            false => self.0 &= !(flag as u8),
        }
    }

    /// Whether it was so; it is so no more.
    pub(super) const fn take(&mut self, flag: Flag) -> bool {
        let was_so = self.has(flag);
        self.set(flag, false);
        was_so
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_independent_of_each_other() {
        let mut flags = Flags::of(&[Flag::Degraded, Flag::Clamped]);
        flags.set(Flag::Unlogged, true);
        assert!(flags.take(Flag::Degraded) && !flags.take(Flag::Degraded));
        assert!(flags.has(Flag::Clamped) && flags.has(Flag::Unlogged) && !flags.has(Flag::Unread));
        assert_eq!(flags, Flags::of(&[Flag::Clamped, Flag::Unlogged]));
    }
}
