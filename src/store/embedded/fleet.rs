//! Devices as operators see them, in the file.

use std::time::Duration;

use async_trait::async_trait;

use super::devices::DeviceRow;
use super::kv::{Outcome, Tx};
use super::{Embedded, entry, keys};
use crate::core::model::ids::{CategoryId, DeviceId, DeviceKey, DomainName};
use crate::core::model::work::Work;
use crate::store::embedded::unassigned;
use crate::store::record::corrupt;
use crate::store::{Devices as _, Entered, Entry, Fleet, Listing, Offer, Result, UnassignedListing, Whereabouts};

#[async_trait]
impl Fleet for Embedded {
    async fn devices(&self, domain: &DomainName, after: DeviceId, limit: usize) -> Result<Vec<Listing>> {
        let rows = self.kv.read(|snapshot| {
            let mut rows = Vec::new();
            for member in snapshot.members(&keys::devices(domain), after.0.saturating_add(1)) {
                if rows.len() == limit {
                    break;
                }
                let key = DeviceKey::parse(&member?).map_err(|e| corrupt("devices", &e))?;
                let row = snapshot.get::<DeviceRow>(&keys::device(domain, &key))?;
                rows.extend(row.map(|row| (key, row)));
            }
            Ok(rows)
        })?;
        let devices: Vec<DeviceKey> = rows.iter().map(|(key, _)| key.clone()).collect();
        let places = self.memory.online(domain, &devices, self.kv.now());
        let listings = rows.into_iter().zip(places).map(|((key, row), at)| {
            let device = self.device(&key, domain.clone(), row)?;
            Ok(Listing { device, at })
        });
        listings.collect()
    }

    async fn device_count(&self, domain: &DomainName) -> Result<u64> {
        self.kv.read(|snapshot| snapshot.count(&keys::devices(domain)))
    }

    async fn rename(&self, domain: &DomainName, key: &DeviceKey, name: Option<&str>) -> Result<bool> {
        let name = name.filter(|name| !name.is_empty()).map(Into::into);
        self.change(domain, key, |row| row.name = name).await
    }

    async fn recategorise(&self, domain: &DomainName, key: &DeviceKey, category: CategoryId) -> Result<bool> {
        self.change(domain, key, move |row| row.category = category).await
    }

    async fn keep_work(&self, domain: &DomainName, key: &DeviceKey, work: &Work) -> Result<()> {
        let work = work.clone();
        let keep = move |row: &mut DeviceRow| {
            if row.entered == work.entry {
                row.work = work;
            }
        };
        self.change(domain, key, keep).await.map(drop)
    }

    async fn ports(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Vec<Box<str>>>> {
        let row: Option<DeviceRow> = self.kv.read(|snapshot| snapshot.get(&keys::device(domain, key)))?;
        Ok(row.map(|row| {
            let mut ports: Vec<Box<str>> = row.ports.into_iter().map(|(name, _)| name).collect();
            ports.sort_unstable();
            ports
        }))
    }

    async fn remove_port(&self, domain: &DomainName, key: &DeviceKey, port: &str) -> Result<bool> {
        let (place, port) = (keys::device(domain, key), port.to_owned());
        self.kv
            .write(move |tx| {
                let Some(mut row) = tx.get::<DeviceRow>(&place)? else { return Ok(false) };
                let before = row.ports.len();
                row.ports.retain(|(name, _)| **name != *port);
                if row.ports.len() == before {
                    return Ok(false);
                }
                tx.put(&place, &row, None)?;
                Ok(true)
            })
            .await
    }

    async fn transfer(&self, from: &DomainName, entry: &Entry) -> Result<Entered> {
        // The same once more, after a time-out.
        if from != &entry.domain
            && let Some(there) = self.find_device(&entry.key).await?
            && there.domain == entry.domain
            && there.password == entry.password
        {
            return Ok(Entered::In(Box::new(there)));
        }
        let (password, admin) = self.sealed(entry);
        let (old, new) = (from.clone(), entry.clone());
        let entered = self.kv.write(move |tx| entry::transfer(tx, &old, &new, password, admin)).await?;
        if matches!(entered, Entered::In(_)) && from != &entry.domain {
            self.memory.forget(from, &entry.key);
        }
        Ok(entered)
    }

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

    async fn unassigned_devices(&self, after: DeviceId, limit: usize) -> Result<Vec<UnassignedListing>> {
        let found = self.kv.read(|snapshot| {
            let mut found = Vec::new();
            for member in snapshot.members(keys::UNASSIGNED, after.0.saturating_add(1)) {
                if found.len() == limit {
                    break;
                }
                let key = DeviceKey::parse(&member?).map_err(|e| corrupt("unassigned", &e))?;
                found.extend(unassigned::find(snapshot, &key)?);
            }
            Ok(found)
        })?;
        let now = self.kv.now();
        let listing = |device: crate::core::model::device::UnassignedDevice| {
            let at = self.memory.unassigned_device(&device.key, now);
            UnassignedListing { device, at }
        };
        Ok(found.into_iter().map(listing).collect())
    }

    async fn unassigned_count(&self) -> Result<u64> {
        self.kv.read(|snapshot| snapshot.count_open(keys::UNASSIGNED_ENDS))
    }

    async fn attach_unassigned(&self, key: &DeviceKey, at: &Whereabouts, keep: Duration) -> Result<bool> {
        let device = key.clone();
        let there = self.kv.write(move |tx| unassigned::keep_on(tx, &device, keep)).await?;
        if there {
            self.memory.attach_unassigned(key, at);
        }
        Ok(there)
    }

    async fn detach_unassigned(&self, key: &DeviceKey, at: &Whereabouts) -> Result<()> {
        self.memory.detach_unassigned(key, at);
        Ok(())
    }

    async fn unassigned_device(&self, key: &DeviceKey) -> Result<Option<UnassignedListing>> {
        let found = self.kv.read(|snapshot| unassigned::find(snapshot, key))?;
        let at = self.memory.unassigned_device(key, self.kv.now());
        Ok(found.map(|device| UnassignedListing { device, at }))
    }

    async fn forget_unassigned(&self, key: &DeviceKey) -> Result<bool> {
        let device = key.clone();
        let there = self.kv.write(move |tx| unassigned::forget(tx, &device)).await?;
        self.memory.forget_unassigned(key);
        Ok(there)
    }
}

impl Embedded {
    /// Changes the record of a device. False if it is not of this domain.
    async fn change(
        &self,
        domain: &DomainName,
        key: &DeviceKey,
        change: impl FnOnce(&mut DeviceRow) + Send + 'static,
    ) -> Result<bool> {
        let place = keys::device(domain, key);
        let job = move |tx: &mut Tx<'_>| -> Outcome<bool> {
            let Some(mut row) = tx.get::<DeviceRow>(&place)? else { return Ok(false) };
            change(&mut row);
            tx.put(&place, &row, None)?;
            Ok(true)
        };
        self.kv.write(job).await
    }
}
