//! [`super::Observed`] for `locks.rs`.

use std::time::Duration;

use async_trait::async_trait;

use super::{Observed, timed};
use crate::metrics::StoreOp;
use crate::store::{Locks, Result, Store};

#[async_trait]
impl<S: Store> Locks for Observed<S> {
    async fn lock(&self, name: &str, holder: &str, ttl: Duration) -> Result<bool> {
        timed(StoreOp::Lock, self.0.lock(name, holder, ttl)).await
    }

    async fn unlock(&self, name: &str, holder: &str) -> Result<()> {
        timed(StoreOp::Lock, self.0.unlock(name, holder)).await
    }
}
