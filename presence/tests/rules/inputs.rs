//! What can happen to a user, as data, and how a seed or proptest makes it up.

use presence::{CustomStatus, EndReason, Status};

/// Something that happens. Connections are named by the order in which they came, dead ones too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// Time passes, and every deadline is met on the millisecond.
    Pass {
        millis: u64,
    },
    /// Time passes and the timer sleeps: deadlines are met with the next input.
    Oversleep {
        millis: u64,
    },
    /// The wall clock leaps ahead; the monotonic one knows nothing of it.
    WallLeaps {
        millis: u64,
    },
    /// The wall clock stands still because the system's went back; deadlines don't care.
    WallStands {
        millis: u64,
    },
    Connect,
    Heard {
        nth: usize,
    },
    /// A message that is neither activity nor a ping.
    Message {
        nth: usize,
    },
    /// The `nth` connection says that it continues the `of`th.
    Resume {
        nth: usize,
        of: usize,
    },
    /// Something that the user did so long ago.
    Activity {
        nth: usize,
        ago_millis: u64,
    },
    /// The last thing that the user did was so long ago, if the client says so.
    Away {
        nth: usize,
        ago_millis: Option<u64>,
    },
    /// However often, however late.
    End {
        nth: usize,
        end: EndReason,
    },
    /// The store had it so long after it was asked for.
    SetCustom {
        custom: CustomStatus,
        by: Via,
        late_millis: u64,
    },
    Report {
        source: u8,
        status: Status,
        ttl_millis: Option<u64>,
        is_active: bool,
    },
    Kick,
    /// The daemon dies and comes back after so long.
    Restart {
        down_millis: u64,
    },
}

/// Whose custom status it is, and how it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    Request,
    /// Over the connection that came last.
    Connection,
    Operator,
}

/// How long things take: around every deadline of the default timers, and in between.
pub(crate) const LAPSES: [u64; 15] = [
    0, 1, 7, 999, 2_500, 4_999, 5_000, 5_001, 29_999, 30_000, 60_000, 150_000, 299_999, 300_000, 300_001,
];
pub(crate) const ENDS: [EndReason; 5] = [
    EndReason::Closed,
    EndReason::Left,
    EndReason::Lost,
    EndReason::Dropped,
    EndReason::Kicked,
];
pub(crate) const CUSTOM: [CustomStatus; 3] = [CustomStatus::Online, CustomStatus::Idle, CustomStatus::DoNotDisturb];
pub(crate) const BY: [Via; 3] = [Via::Request, Via::Connection, Via::Operator];
/// How long the store takes.
const LATE: [u64; 3] = [0, 0, 1_500];
const TTLS: [Option<u64>; 4] = [None, Some(1_000), Some(5_000), Some(60_000)];

impl Input {
    /// The input that these numbers stand for; common ones are common. `kind` below 100.
    pub(crate) fn from_numbers(kind: u8, which: usize, length: usize) -> Self {
        let pick = |millis: &[u64]| millis[length % millis.len()];
        match kind {
            0..=19 => Self::Pass { millis: pick(&LAPSES) },
            20..=23 => Self::Oversleep { millis: pick(&LAPSES) },
            24 => Self::WallLeaps {
                millis: pick(&LAPSES) * 1_000,
            },
            25 => Self::WallStands { millis: pick(&LAPSES) },
            26..=36 => Self::Connect,
            37..=39 => Self::Heard { nth: which },
            40 => Self::Message { nth: which },
            41..=42 => Self::Resume { nth: which, of: length },
            43..=49 => Self::Activity {
                nth: which,
                ago_millis: 0,
            },
            50..=51 => Self::Activity {
                nth: which,
                ago_millis: pick(&LAPSES),
            },
            52..=56 => Self::Away {
                nth: which,
                ago_millis: None,
            },
            57..=58 => Self::Away {
                nth: which,
                ago_millis: Some(pick(&LAPSES)),
            },
            59..=76 => Self::End {
                nth: which,
                end: ENDS[length % ENDS.len()],
            },
            77..=84 => Self::SetCustom {
                custom: CUSTOM[which % CUSTOM.len()],
                by: BY[length % BY.len()],
                late_millis: LATE[(length / 3) % LATE.len()],
            },
            85..=95 => Self::Report {
                source: u8::from(which % 3 == 2),
                status: Status::ALL[length % Status::ALL.len()],
                ttl_millis: TTLS[(length / 4) % TTLS.len()],
                is_active: which.is_multiple_of(2),
            },
            96..=97 => Self::Kick,
            _ => Self::Restart {
                down_millis: pick(&LAPSES),
            },
        }
    }
}
