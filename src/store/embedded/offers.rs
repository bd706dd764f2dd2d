//! Offers in the file: a row each, which ends by itself, and an index by end.

use std::time::Duration;

use async_trait::async_trait;

use super::{Embedded, keys};
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::core::model::quota::QuotaKind;
use crate::core::model::time::UnixMillis;
use crate::store::record::corrupt;
use crate::store::{Offer, Offers, Result, StoreError};

#[async_trait]
impl Offers for Embedded {
    async fn offer(&self, to: &DomainName, offer: &Offer, keep: Duration) -> Result<()> {
        let (to, offer, quotas) = (to.clone(), offer.clone(), self.limits.quotas);
        self.kv
            .write(move |tx| {
                let ends = tx.now + keep;
                let (given, member) = (keys::offered_by(&offer.from), keys::offered_to(&to, &offer.key));
                let have = tx.count_open(&given)?;
                if !tx.is_member(&given, &member)? {
                    quotas.check(QuotaKind::Offers, have, 1).map_err(StoreError::from)?;
                }
                tx.rank(&given, ends.0, &member)?;
                tx.count_open(&keys::offers(&to))?;
                tx.put(&keys::offer(&to, &offer.key), &offer.from, Some(ends))?;
                tx.rank(&keys::offers(&to), ends.0, offer.key.as_str())
            })
            .await
    }

    async fn offers(&self, to: &DomainName) -> Result<Vec<Offer>> {
        self.kv.read(|snapshot| {
            let mut offers = Vec::new();
            for member in snapshot.members(&keys::offers(to), snapshot.now.0 + 1) {
                let key = DeviceKey::parse(&member?).map_err(|e| corrupt("offers", &e))?;
                let from: Option<DomainName> = snapshot.get(&keys::offer(to, &key))?;
                offers.extend(from.map(|from| Offer { key, from }));
            }
            Ok(offers)
        })
    }

    async fn offer_ends(&self, to: &DomainName, key: &DeviceKey) -> Result<Option<UnixMillis>> {
        self.kv.read(|snapshot| {
            for scored in snapshot.scored(&keys::offers(to), 0) {
                let (ends, member) = scored?;
                if member == key.as_str() {
                    return Ok(Some(UnixMillis(ends)));
                }
            }
            Ok(None)
        })
    }

    async fn end_offer(&self, to: &DomainName, key: &DeviceKey) -> Result<bool> {
        let (to, key) = (to.clone(), key.clone());
        self.kv
            .write(move |tx| {
                let place = keys::offer(&to, &key);
                let from: Option<DomainName> = tx.get(&place)?;
                let there = from.is_some();
                if let Some(from) = from {
                    tx.unrank(&keys::offered_by(&from), &keys::offered_to(&to, &key))?;
                }
                tx.remove(&place)?;
                tx.unrank(&keys::offers(&to), key.as_str())?;
                Ok(there)
            })
            .await
    }
}
