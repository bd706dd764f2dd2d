//! Locks with expiry over all nodes, for changes outside this store that only one node may make at a time.

use std::time::Duration;

use super::Result;
use super::observed::store_trait;

store_trait! {
    /// Locks with expiry. They give order, not safety: a holder that was stopped for longer than its lock lasts must
    /// find out by other means what has happened meanwhile.
    pub trait Locks: Send + Sync {
        /// Takes a lock for `ttl`, or renews it. False: somebody else holds it.
        async fn lock(&self, name: &str, holder: &str, ttl: Duration) -> Result<bool> => Lock;

        /// Gives a lock back. Does nothing if it is held by somebody else.
        async fn unlock(&self, name: &str, holder: &str) -> Result<()> => Lock;
    }
}
