//! Durable changes: on disk first, then in effect. Each runs in a task of its own, so that it completes even if its caller is
//! cancelled, and under the lock of its user.

use std::sync::Arc;

use presence::UserId;

use super::users::UserLock;
use super::{Engine, EngineError};
use crate::request_id;

impl Engine {
    /// Runs a durable change of a user, after those that came before it. The only place that spawns one.
    pub(super) async fn run_durable<T, Work>(
        self: &Arc<Self>,
        user: &UserId,
        change: impl FnOnce(Arc<Self>, UserLock) -> Work + Send + 'static,
    ) -> Result<T, EngineError>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, EngineError>> + Send,
    {
        let engine = Arc::clone(self);
        let user = user.clone();
        let task = tokio::spawn(request_id::carried(async move {
            let lock = engine.user_locks.lock(&user).await;
            change(Arc::clone(&engine), lock).await
        }));
        let done = task.await;
        self.users.sweep();
        done.unwrap_or_else(|error| {
            tracing::error!(%error, "the task of a durable change panicked");
            Err(EngineError::TaskPanicked)
        })
    }
}
