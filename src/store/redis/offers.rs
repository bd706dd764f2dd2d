//! Offers on Redis: one key per offer, which ends by itself, and an index by end.

use std::time::Duration;

use ::redis::cmd;
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::core::model::quota::QuotaKind;
use crate::core::model::time::UnixMillis;
use crate::store::record::corrupt;
use crate::store::{Offer, Offers, Result};

static HOLD: LazyScript = script!("hold_offer");
static OFFER: LazyScript = script!("offer");
static OFFERED: LazyScript = script!("offered");
static END_OFFER: LazyScript = script!("end_offer");

#[async_trait]
impl Offers for Redis {
    async fn offer(&self, to: &DomainName, offer: &Offer, keep: Duration) -> Result<()> {
        self.client.timed(self.offer_whole(to, offer, keep)).await
    }

    async fn offers(&self, to: &DomainName) -> Result<Vec<Offer>> {
        self.client.timed(self.read_offers(to)).await
    }

    async fn offer_ends(&self, to: &DomainName, key: &DeviceKey) -> Result<Option<UnixMillis>> {
        let read = cmd("ZSCORE").arg(keys::offers(to)).arg(key.as_str()).take();
        let ends: Option<u64> = self.client.timed(self.client.ask(&read)).await?;
        Ok(ends.map(UnixMillis))
    }

    async fn end_offer(&self, to: &DomainName, key: &DeviceKey) -> Result<bool> {
        let end = async {
            let from: Option<String> = self.client.ask(cmd("GET").arg(keys::offer(to, key))).await?;
            let mut script = END_OFFER.key(keys::offer(to, key));
            script.key(keys::offers(to)).arg(key.as_str());
            let ended = self.client.eval_once(&script).await?;
            if let Some(from) = from.and_then(|from| DomainName::parse(&from).ok()) {
                // If this is lost, the offer counts until its time is over.
                let count = cmd("ZREM").arg(keys::offered_by(&from)).arg(keys::offered_to(to, key)).take();
                self.client.ask::<()>(&count).await?;
            }
            Ok(ended)
        };
        self.client.timed(end).await
    }
}

impl Redis {
    /// The giver's count is in another slot than the receiver's offer, so it is a step of its own.
    async fn offer_whole(&self, to: &DomainName, offer: &Offer, keep: Duration) -> Result<()> {
        let mut count = HOLD.key(keys::offered_by(&offer.from));
        count.arg(keys::offered_to(to, &offer.key)).arg(self.limits.quotas.offers).arg(millis(keep));
        if !self.client.eval::<bool>(&count).await? {
            return Err(self.limits.quotas.over(QuotaKind::Offers).into());
        }
        let mut script = OFFER.key(keys::offer(to, &offer.key));
        script.key(keys::offers(to)).arg(offer.key.as_str()).arg(offer.from.as_str()).arg(millis(keep));
        self.client.eval(&script).await
    }

    async fn read_offers(&self, to: &DomainName) -> Result<Vec<Offer>> {
        let index = keys::offers(to);
        let found: Vec<String> = self.client.eval(&OFFERED.key(&index)).await?;
        let devices: Vec<DeviceKey> = found.iter().filter_map(|key| DeviceKey::parse(key).ok()).collect();
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = cmd("MGET");
        for key in &devices {
            read.arg(keys::offer(to, key));
        }
        let from: Vec<Option<String>> = self.client.ask(&read).await?;
        let offers = devices.into_iter().zip(from).filter_map(|(key, from)| {
            let from = DomainName::parse(&from?).map_err(|e| corrupt(&index, &e));
            Some(from.map(|from| Offer { key, from }))
        });
        offers.collect()
    }
}
