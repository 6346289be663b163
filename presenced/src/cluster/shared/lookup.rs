//! Single users of a partition are read in Redis over a connection of their own: what the two others wait for is no matter of
//! theirs. It is open only while users are read.

use std::time::Duration;

use presence::{CustomStatus, Mono, UserId};
use tokio::sync::Mutex;

use super::link::{Link, LinkError};
use super::servers::RedisServers;
use super::{OWN_CHANGE_WAITS, Shared};
use crate::cluster::Freshness;

/// For how long a connection that is idle stays open.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(10);

/// The connection, while nobody reads over it.
#[derive(Default)]
pub(super) struct Lookup {
    idle: Mutex<Option<Idle>>,
}

struct Idle {
    link: Link,
    until: Mono,
}

impl Shared {
    /// The custom status that other services read of a user; none if it is none but ONLINE, or if Redis does not answer within a
    /// short while.
    pub(crate) async fn listed_custom_status(&self, user: &UserId, now: Mono) -> Option<CustomStatus> {
        let number = self.number_of(user);
        let partition = self.partition(number);
        if partition.freshness() == Freshness::Stale {
            return None;
        }
        let lookup = partition.lookup.custom_status(&self.servers, number, user, now);
        let listed = tokio::time::timeout(OWN_CHANGE_WAITS, lookup).await;
        listed.ok()?.ok().flatten()
    }
}

impl Lookup {
    /// The custom status that other services read of a user.
    pub(super) async fn custom_status(
        &self,
        servers: &RedisServers,
        partition: u16,
        user: &UserId,
        now: Mono,
    ) -> Result<Option<CustomStatus>, LinkError> {
        let mut idle = self.idle.lock().await;
        // After an error, or a caller that waits no longer, it is of no further use: it is taken out.
        let known = match idle.take() {
            Some(known) => ask(known.link, user).await.ok(),
            None => None,
        };
        let (link, listed) = match known {
            Some(answered) => answered,
            // The server may have closed it since.
            None => ask(servers.open(partition).await?, user).await?,
        };
        let until = now.after(KEPT_FOR);
        *idle = Some(Idle { link, until });
        Ok(listed)
    }

    /// Closes the connection if it was not needed for a while.
    pub(super) fn close_idle(&self, now: Mono) {
        if let Ok(mut idle) = self.idle.try_lock() {
            idle.take_if(|idle| idle.until <= now);
        }
    }
}

async fn ask(mut link: Link, user: &UserId) -> Result<(Link, Option<CustomStatus>), LinkError> {
    let listed = link.custom_status(user).await?;
    Ok((link, listed))
}
