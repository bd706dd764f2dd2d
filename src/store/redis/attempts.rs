//! Wrong attempts and decisions over all nodes on Redis.

use ::redis::cmd;
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::store::attempts::{by_category, misdirected_text};
use crate::store::{Attempts, COUNTED_OVER, MAX_MISDIRECTED, MISDIRECTED_KEPT, Misdirected, Result};

static REPORT_WRONG: LazyScript = script!("report_wrong");
static MISDIRECTED: LazyScript = script!("misdirected");
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

    async fn record_misdirected(&self, domain: &DomainName, category: &str, device: &DeviceKey) -> Result<()> {
        let mut script = MISDIRECTED.key(keys::misdirected(domain));
        script.arg(misdirected_text(category, device)).arg(millis(MISDIRECTED_KEPT)).arg(MAX_MISDIRECTED);
        self.client.timed(self.client.eval(&script)).await
    }

    async fn misdirected(&self, domain: &DomainName) -> Result<Vec<Misdirected>> {
        // Those that are over and not removed yet are few, and the whole ends by itself.
        let read = cmd("ZRANGE").arg(keys::misdirected(domain)).arg(0).arg(-1).take();
        let texts: Vec<String> = self.client.timed(self.client.ask(&read)).await?;
        Ok(by_category(texts.into_iter()))
    }
}
