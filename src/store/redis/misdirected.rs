//! Devices with a wrong category on Redis.

use ::redis::cmd;
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::store::misdirected::{by_category, misdirected_text};
use crate::store::{MAX_MISDIRECTED, MISDIRECTED_KEPT, Misdirected, MisdirectedDevices, Result};

static MISDIRECTED: LazyScript = script!("misdirected");

#[async_trait]
impl MisdirectedDevices for Redis {
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
