//! Locks with expiry on Redis.

use std::time::Duration;

use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::store::{Locks, Result};

static LOCK: LazyScript = script!("lock");
static UNLOCK: LazyScript = script!("delete_if");

#[async_trait]
impl Locks for Redis {
    async fn lock(&self, name: &str, holder: &str, ttl: Duration) -> Result<bool> {
        let mut script = LOCK.key(keys::lock(name));
        script.arg(holder).arg(millis(ttl));
        self.client.timed(self.client.eval(&script)).await
    }

    async fn unlock(&self, name: &str, holder: &str) -> Result<()> {
        let mut script = UNLOCK.key(keys::lock(name));
        script.arg(holder);
        let _gone: u64 = self.client.timed(self.client.eval(&script)).await?;
        Ok(())
    }
}
