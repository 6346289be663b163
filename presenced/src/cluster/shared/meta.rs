//! What all nodes that share a Redis must have in common, in `presence:meta`: the first node writes it, and a node that differs
//! does not start.

use std::fmt;
use std::time::Duration;

use super::keys::META;
use super::link::LinkError;
use super::servers::RedisServers;

/// The version of the keys in Redis, and of what the scripts make of them.
const LAYOUT: &str = "1";

/// What a node has of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharedFacts {
    /// Into how many partitions the users are split.
    pub(crate) partitions: u16,
    pub(crate) database: DatabaseFacts,
}

/// A database, as nodes tell it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseFacts {
    /// The random number that the database has had since it was made.
    pub(crate) identity: String,
    /// Where it is, for people: nodes may reach one database under several names.
    pub(crate) place: String,
}

impl fmt::Display for DatabaseFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (identity {:?})", self.place, self.identity)
    }
}

/// What a node does not have in common with those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Difference {
    #[error(
        "the keys there have the layout {stored:?}, and this version has {LAYOUT:?}: run the version that the other nodes have, or stop all of them and delete the keys presence:*"
    )]
    Layout { stored: String },
    #[error(
        "the users there are split into {stored} partitions, and --partitions is {own}: start this node with --partitions {stored}, or, to change the number, stop all nodes and delete the keys presence:*"
    )]
    Partitions { stored: String, own: u16 },
    #[error(
        "the nodes there have the database {stored}, and this one has {own}: give all nodes the same --database, or this one another Redis; to use that Redis with another database, stop all nodes and delete the keys presence:*"
    )]
    Database { stored: DatabaseFacts, own: DatabaseFacts },
}

impl RedisServers {
    /// Writes what all have in common again if Redis has lost it, so that nodes that start later are still kept from differing.
    /// Says if one that differs came first. Looks `every` so often; never returns, may be dropped at any time.
    pub(crate) async fn keep_agreed(&self, own: &SharedFacts, every: Duration) {
        let mut told = None;
        loop {
            tokio::time::sleep(every).await;
            // That Redis can't be reached is said by the partitions.
            let Ok(agreed) = self.agree(own).await else { continue };
            let differs = agreed.err();
            if let Some(difference) = differs.as_ref().filter(|one| told.as_ref() != Some(*one)) {
                tracing::error!(redis = self.names(), %difference, "nodes that differ share this Redis: stop one of them");
            }
            told = differs;
        }
    }

    /// Agrees with the nodes before this one on what all must have in common, or tells what differs.
    pub(super) async fn agree(&self, own: &SharedFacts) -> Result<Result<(), Difference>, LinkError> {
        let (partitions, database) = (own.partitions.to_string(), &own.database);
        let mut run = redis::cmd("EVAL");
        run.arg(include_str!("scripts/meta.lua")).arg(1).arg(META);
        run.arg(3).arg("layout").arg(LAYOUT);
        run.arg("partitions").arg(&partitions);
        run.arg("database").arg(&database.identity);
        run.arg("database-place").arg(&database.place);
        let mut connection = self.connect_to_meta().await?;
        let stored: [String; 4] = run.query_async(&mut connection).await?;
        let [layout, stored_partitions, identity, place] = stored;
        if layout != LAYOUT {
            return Ok(Err(Difference::Layout { stored: layout }));
        }
        if stored_partitions != partitions {
            return Ok(Err(Difference::Partitions {
                stored: stored_partitions,
                own: own.partitions,
            }));
        }
        if identity != database.identity {
            return Ok(Err(Difference::Database {
                stored: DatabaseFacts { identity, place },
                own: database.clone(),
            }));
        }
        Ok(Ok(()))
    }
}
