//! Locks with expiry over all nodes: what must not be done twice at the same time outside this store.

use std::time::Duration;

use async_trait::async_trait;

use super::Result;

/// Locks with expiry. They give order, not safety: a holder that was stopped for longer than its lock lives must find out by
/// other means what has happened meanwhile.
#[async_trait]
pub trait Locks: Send + Sync {
    /// Takes a lock for `ttl`, or renews it. False: somebody else holds it.
    async fn lock(&self, name: &str, holder: &str, ttl: Duration) -> Result<bool>;

    /// Gives a lock back. Nothing happens if it is held by somebody else.
    async fn unlock(&self, name: &str, holder: &str) -> Result<()>;
}
