//! Offers in the file: a row each, which ends by itself, and an index by end.

use std::time::Duration;

use async_trait::async_trait;

use super::{Embedded, keys};
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::core::model::time::UnixMillis;
use crate::store::record::corrupt;
use crate::store::{Offer, Offers, Result};

#[async_trait]
impl Offers for Embedded {
    async fn offer(&self, to: &DomainName, offer: &Offer, keep: Duration) -> Result<()> {
        let (to, offer) = (to.clone(), offer.clone());
        self.kv
            .write(move |tx| {
                let ends = tx.now + keep;
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
                let there = tx.has(&place)?;
                tx.remove(&place)?;
                tx.unrank(&keys::offers(&to), key.as_str())?;
                Ok(there)
            })
            .await
    }
}
