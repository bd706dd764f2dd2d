//! What is remembered of bundles, on Redis.

use ::redis::cmd;
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, script};
use crate::core::model::bundle::BundleState;
use crate::core::model::ids::DomainName;
use crate::store::bundles::{MARK, next};
use crate::store::record::{from_json, to_json};
use crate::store::{Bundles, Result};

static KEEP: LazyScript = script!("keep_bundles");

#[async_trait]
impl Bundles for Redis {
    fn instance_mark(&self) -> Box<str> {
        self.sealer.lasting_hash(MARK.0, MARK.1).into()
    }

    async fn bundle_state(&self, domain: &DomainName) -> Result<BundleState> {
        let place = keys::bundles(domain);
        let read = cmd("HGET").arg(&place).arg("state").take();
        let there: Option<Vec<u8>> = self.client.timed(self.client.ask(&read)).await?;
        Ok(there.map(|there| from_json(&place, &there)).transpose()?.unwrap_or_default())
    }

    async fn keep_bundle_state(&self, domain: &DomainName, state: &BundleState) -> Result<bool> {
        let new = next(state);
        let mut script = KEEP.key(keys::bundles(domain));
        script.arg(state.revision).arg(new.revision).arg(to_json(&new));
        self.client.timed(self.client.eval(&script)).await
    }
}
