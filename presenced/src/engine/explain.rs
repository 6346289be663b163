//! Records of users, and why they are what they are.

use std::sync::Arc;

use presence::wire::record::{Record, Viewer};
use presence::wire::rest::Explain;
use presence::{CustomStatus, UserId};

use super::users::LockedEntry;
use super::{Engine, EngineError, SessionAnswers};
use crate::store::StoreError;

impl Engine {
    /// The record of one user; of one never seen: OFFLINE, null times, revision 0.
    pub(crate) async fn record(self: &Arc<Self>, user: &UserId, viewer: Viewer) -> Result<Record, EngineError> {
        let late = self.wait_for_own_changes(std::slice::from_ref(user)).await;
        let pin = self.load_one(user).await?;
        let record = match late.contains(user) {
            true => self.offered_record(&pin, viewer),
            false => self.record_of(&self.users.lock(&pin), viewer),
        };
        drop(pin);
        self.users.sweep();
        Ok(record)
    }

    /// The records of several, in the order asked. `own` is the caller's own id, whose record shows more.
    pub(crate) async fn records(
        self: &Arc<Self>,
        users: &[UserId],
        viewer: Viewer,
        own: Option<&UserId>,
    ) -> Result<Vec<Record>, EngineError> {
        let late = self.wait_for_own_changes(users).await;
        let pins = self.load(users).await?;
        let record_of = |(user, pin)| {
            let is_own = viewer == Viewer::Public && own == Some(user);
            let viewer = if is_own { Viewer::Own } else { viewer };
            match late.contains(user) {
                true => self.offered_record(pin, viewer),
                false => self.record_of(&self.users.lock(pin), viewer),
            }
        };
        let records = users.iter().zip(&pins).map(record_of).collect();
        drop(pins);
        self.users.sweep();
        Ok(records)
    }

    /// The custom status of one user; of one never seen: ONLINE.
    pub(crate) async fn custom_status(self: &Arc<Self>, user: &UserId) -> Result<CustomStatus, EngineError> {
        let record = self.record(user, Viewer::Internal).await?;
        // A fallback record does not have the user's custom status.
        if record.degraded {
            return Err(StoreError::Unavailable {
                reason: "the user has not been loaded yet".into(),
            }
            .into());
        }
        Ok(record.custom_status.unwrap_or_default())
    }

    /// Why the user is shown so, and what will change it next, as far as this node knows by itself.
    pub(crate) async fn explain(self: &Arc<Self>, user: &UserId) -> Result<Explain, EngineError> {
        self.explain_with(user, async { SessionAnswers::new() }).await
    }

    /// Why the user is shown so, and what will change it next. The sessions of other nodes are those that they tell meanwhile;
    /// of a node that does not, how many there are.
    pub(crate) async fn explain_with(
        self: &Arc<Self>,
        user: &UserId,
        told: impl Future<Output = SessionAnswers>,
    ) -> Result<Explain, EngineError> {
        let loaded = async {
            self.wait_for_own_changes(std::slice::from_ref(user)).await;
            self.load_one(user).await
        };
        let (pin, told) = tokio::join!(loaded, told);
        let pin = pin?;
        let others = self.sessions_elsewhere(user, told);
        let entry = self.users.lock(&pin);
        let name_of = |id| {
            let conn = entry.connections().iter().find(|conn| conn.id() == id);
            conn.map_or_else(String::new, |conn| conn.name().to_string())
        };
        let here = entry.state.sessions_beside(self.node(), &others);
        let mut explain = entry.state.explain(user, self.now_of(&entry), here, name_of);
        drop(entry);
        let revoked_before = self.revoked_before(user);
        explain.tokens_revoked_before = revoked_before.map(|before| before.record_time(None));
        drop(pin);
        self.users.sweep();
        Ok(explain)
    }

    pub(super) fn record_of(&self, entry: &LockedEntry<'_>, viewer: Viewer) -> Record {
        entry.state.record(entry.user(), &self.cluster, viewer)
    }
}
