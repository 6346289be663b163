//! What a node tells of itself: once when it registers, and with every tick.

use crate::replication::bytes::{FORMAT, InvalidBytes, Reader, put_bytes, put_field, put_number, put_time};
use crate::replication::names::Incarnation;
use crate::time::Wall;
use crate::user_id::UserId;

/// The most users whose times go with one tick: with ticks every 3 s and times once a minute, a node has 20,000 connected
/// users in a partition before times come later than that.
pub const TICK_TIMES_MAX: usize = 1_000;

/// The most users whose sessions one tick asks for: more come with the next one.
pub const TICK_FULL_MAX: usize = 64;

const NAME: u8 = 1;
const ADDRESS: u8 = 2;
const VERSION: u8 = 3;
const NEWEST_FORMAT: u8 = 4;
const NUMBER: u8 = 1;
const CONNECTIONS: u8 = 2;
const CAPACITY: u8 = 3;
const TIMES: u8 = 4;
const IS_FULL: u8 = 5;
const LAG: u8 = 6;
const IS_DRAINING: u8 = 7;
const DRAIN_ORDER: u8 = 8;
const FULL_USER: u8 = 12;
const OBEYED_ORDERS: u8 = 13;

/// What the others are told of a node that registers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeInfo {
    /// Its configured name.
    pub name: String,
    /// Where its API listens.
    pub address: String,
    /// The version of the program.
    pub version: String,
    /// The newest format of states and entries that it reads.
    pub format: u8,
}

impl NodeInfo {
    /// Writes it for [`super::Call::Register`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        put_field(&mut out, NAME, self.name.as_bytes());
        put_field(&mut out, ADDRESS, self.address.as_bytes());
        put_field(&mut out, VERSION, self.version.as_bytes());
        put_field(&mut out, NEWEST_FORMAT, &[self.format]);
        out
    }

    /// Reads what [`Self::encode`] wrote; unknown fields are skipped, because nobody writes it again.
    ///
    /// # Errors
    /// A newer format, or what no node wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidBytes> {
        let mut reader = Reader::after_format(bytes)?;
        let mut info = Self::default();
        while !reader.is_empty() {
            let (tag, content) = reader.field()?;
            let text = || {
                str::from_utf8(content)
                    .map(str::to_owned)
                    .map_err(|_| InvalidBytes::Malformed)
            };
            match tag {
                NAME => info.name = text()?,
                ADDRESS => info.address = text()?,
                VERSION => info.version = text()?,
                NEWEST_FORMAT => info.format = Reader::of(content).byte()?,
                _ => {}
            }
        }
        Ok(info)
    }
}

/// What a node serves, and how much more it would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeLoad {
    /// Its open WebSockets, over all partitions.
    pub connections: u32,
    /// How many connections it takes.
    pub capacity: u32,
    /// Whether it moves its clients to other nodes, and takes no new ones.
    pub is_draining: bool,
}

/// What an operator asked of a node, at another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainOrder {
    /// The run of the node that is meant.
    pub of: Incarnation,
    /// Whether it is to drain; else it is to take clients again.
    pub is_draining: bool,
}

/// A [`DrainOrder`] as the ticks of the node that was asked repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldOrder {
    /// What was asked.
    pub order: DrainOrder,
    /// Another one for each order of one run; none of an older version.
    pub number: Option<u64>,
}

/// An order that a node has obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObeyedOrder {
    /// The run that told it.
    pub told_by: Incarnation,
    /// Its number there.
    pub number: u64,
}

/// The times of a user that moved since they were last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTimes {
    /// The user whose times they are.
    pub user: UserId,
    /// When the user was last heard.
    pub last_seen: Wall,
    /// When the user was last active.
    pub last_active: Option<Wall>,
}

/// A node's proof of life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tick {
    /// Counts the ticks of one run in one partition: the node knows by it when it sent the one that comes back.
    pub number: u64,
    /// The node's open connections, over all partitions.
    pub connections: u32,
    /// How many it takes.
    pub capacity: u32,
    /// Whether the node could not offer sessions because the memory of Redis is full: nobody must become OFFLINE who may
    /// have moved there.
    pub is_full: bool,
    /// How long the node's tick before took through the log and back to it, in milliseconds.
    pub lag_millis: u32,
    /// Whether the node moves its clients to other nodes, and takes no new ones.
    pub is_draining: bool,
    /// What operators asked of other nodes. Repeated until those say so in a tick of their own: one may be missed.
    pub orders: Vec<ToldOrder>,
    /// The orders of others that the node has obeyed, while those repeat them; none of an older version, which does not name them.
    pub obeyed: Option<Vec<ObeyedOrder>>,
    /// Times that moved alone, up to [`TICK_TIMES_MAX`].
    pub times: Vec<MovedTimes>,
    /// Users with as many sessions as one may have of whom this node has refused one, up to [`TICK_FULL_MAX`].
    pub full_users: Vec<UserId>,
}

impl Tick {
    /// Whether the node takes clients: it does not while it drains, or before it listens.
    #[must_use]
    pub const fn takes_clients(&self) -> bool {
        self.capacity > 0 && !self.is_draining
    }

    /// How many more connections the node takes.
    #[must_use]
    pub const fn room(&self) -> u32 {
        if self.is_draining {
            return 0;
        }
        self.capacity.saturating_sub(self.connections)
    }

    /// Writes it for [`super::Call::Tick`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        let mut put = |tag, number| {
            let mut content = Vec::new();
            put_number(&mut content, number);
            put_field(&mut out, tag, &content);
        };
        put(NUMBER, self.number);
        put(CONNECTIONS, u64::from(self.connections));
        put(CAPACITY, u64::from(self.capacity));
        if self.is_full {
            put(IS_FULL, 1);
        }
        put(LAG, u64::from(self.lag_millis));
        if self.is_draining {
            put(IS_DRAINING, 1);
        }
        for told in &self.orders {
            let mut content = told.order.of.0.to_be_bytes().to_vec();
            content.push(u8::from(told.order.is_draining));
            if let Some(number) = told.number {
                put_number(&mut content, number);
            }
            put_field(&mut out, DRAIN_ORDER, &content);
        }
        if let Some(obeyed) = &self.obeyed {
            let mut content = Vec::new();
            for one in obeyed {
                content.extend_from_slice(&one.told_by.0.to_be_bytes());
                put_number(&mut content, one.number);
            }
            put_field(&mut out, OBEYED_ORDERS, &content);
        }
        for times in &self.times {
            let mut content = Vec::new();
            put_bytes(&mut content, times.user.as_str().as_bytes());
            put_time(&mut content, times.last_seen);
            if let Some(active) = times.last_active {
                put_time(&mut content, active);
            }
            put_field(&mut out, TIMES, &content);
        }
        for user in &self.full_users {
            put_field(&mut out, FULL_USER, user.as_str().as_bytes());
        }
        out
    }

    /// Reads what [`Self::encode`] wrote; unknown fields are skipped, because nobody writes it again.
    ///
    /// # Errors
    /// A newer format, or what no node wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidBytes> {
        let mut reader = Reader::after_format(bytes)?;
        let mut tick = Self::default();
        while !reader.is_empty() {
            let (tag, bytes) = reader.field()?;
            let mut content = Reader::of(bytes);
            match tag {
                NUMBER => tick.number = content.number()?,
                CONNECTIONS => tick.connections = content.small()?,
                CAPACITY => tick.capacity = content.small()?,
                IS_FULL => tick.is_full = true,
                LAG => tick.lag_millis = content.small()?,
                IS_DRAINING => tick.is_draining = true,
                DRAIN_ORDER => tick.orders.push(ToldOrder {
                    order: DrainOrder {
                        of: Incarnation(content.fixed()?),
                        is_draining: content.byte()? != 0,
                    },
                    number: match content.is_empty() {
                        true => None,
                        false => Some(content.number()?),
                    },
                }),
                OBEYED_ORDERS => {
                    let obeyed = tick.obeyed.get_or_insert_default();
                    while !content.is_empty() {
                        obeyed.push(ObeyedOrder {
                            told_by: Incarnation(content.fixed()?),
                            number: content.number()?,
                        });
                    }
                }
                TIMES => tick.times.push(MovedTimes {
                    user: UserId::new(content.text()?).map_err(|_| InvalidBytes::Malformed)?,
                    last_seen: content.time()?,
                    last_active: match content.is_empty() {
                        true => None,
                        false => Some(content.time()?),
                    },
                }),
                FULL_USER => {
                    let user = str::from_utf8(bytes).ok().and_then(|text| UserId::new(text).ok());
                    tick.full_users.push(user.ok_or(InvalidBytes::Malformed)?);
                }
                _ => {}
            }
        }
        Ok(tick)
    }
}
