//! Wrong attempts and decisions over all nodes on Redis.

use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::store::{Attempts, COUNTED_OVER, Result};

static REPORT_WRONG: LazyScript = script!("report_wrong");
static TAKE_DECISIONS: LazyScript = script!("take_decisions");

#[async_trait]
impl Attempts for Redis {
    async fn report_wrong(&self, kind: &str, id: &str, wrong: u32) -> Result<u64> {
        let mut script = REPORT_WRONG.key(keys::wrong_attempts(kind));
        script.arg(id).arg(wrong).arg(millis(COUNTED_OVER));
        self.client.timed(self.client.eval(&script)).await
    }

    async fn take_decisions(&self, kind: &str, want: u32, per_second: u32) -> Result<u32> {
        let mut script = TAKE_DECISIONS.key(keys::decisions(kind));
        script.arg(want).arg(per_second);
        self.client.timed(self.client.eval(&script)).await
    }
}
