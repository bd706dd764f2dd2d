//! Devices with a wrong category in the file: an index by end for each domain.

use async_trait::async_trait;

use super::kv::Outcome;
use super::{Embedded, keys};
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::store::misdirected::{by_category, misdirected_text};
use crate::store::{MAX_MISDIRECTED, MISDIRECTED_KEPT, Misdirected, MisdirectedDevices, Result};

#[async_trait]
impl MisdirectedDevices for Embedded {
    async fn record_misdirected(&self, domain: &DomainName, category: &str, device: &DeviceKey) -> Result<()> {
        let (index, text) = (keys::misdirected(domain), misdirected_text(category, device));
        self.kv
            .write(move |tx| {
                tx.rank(&index, (tx.now + MISDIRECTED_KEPT).0, &text)?;
                if tx.count_open(&index)? > MAX_MISDIRECTED {
                    for oldest in tx.members_until(&index, u64::MAX, 1)? {
                        tx.unrank(&index, &oldest)?;
                    }
                }
                Ok(())
            })
            .await
    }

    async fn misdirected(&self, domain: &DomainName) -> Result<Vec<Misdirected>> {
        self.kv.read(|snapshot| {
            let members = snapshot.members(&keys::misdirected(domain), snapshot.now.0 + 1);
            Ok(by_category(members.collect::<Outcome<Vec<_>>>()?.into_iter()))
        })
    }
}
