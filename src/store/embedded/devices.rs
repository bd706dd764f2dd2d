//! Devices in the file. Entry and transfer are in `entry.rs`, where a device is online in `presence.rs`.

use async_trait::async_trait;

use super::kv::{Outcome, Tx};
use super::rows::{DeviceRow, drop_record};
use super::{Embedded, entry, keys};
use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::device::{Device, Facts};
use crate::core::model::hex;
use crate::core::model::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainName, Secret};
use crate::core::model::work::Work;
use crate::store::code_name::{CodeUse, open_code};
use crate::store::embedded::entry::SealedEntry;
use crate::store::record::{Sealed, corrupt, open, seal};
use crate::store::{DeviceListing, Devices, Entered, Entry, EntryRight, PortClaim, Result};

#[async_trait]
impl Devices for Embedded {
    async fn find_device(&self, key: &DeviceKey) -> Result<Option<Device>> {
        let found = self.kv.read(|snapshot| {
            let Some(domain) = snapshot.get::<DomainName>(&keys::owner(key))? else { return Ok(None) };
            let row = snapshot.get::<DeviceRow>(&keys::device(&domain, key))?;
            Ok(row.map(|row| (domain, row)))
        })?;
        found.map(|(domain, row)| self.device(key, domain, row)).transpose()
    }

    async fn enter(&self, entry: &Entry) -> Result<Entered> {
        let sealed = self.sealed(entry);
        let (key, entry, quotas) = (entry.key.clone(), entry.clone(), self.limits.quotas);
        let entered = self.kv.write(move |tx| entry::enter(tx, &entry, &quotas, sealed)).await?;
        if matches!(entered, Entered::In(_)) {
            self.memory.forget_unassigned(&key);
        }
        Ok(entered)
    }

    async fn confirm(&self, domain: &DomainName, key: &DeviceKey, password: &Secret) -> Result<()> {
        let (place, sealer, password) = (keys::device(domain, key), self.sealer.clone(), password.clone());
        self.kv
            .write(move |tx| {
                let Some(mut row) = tx.get::<DeviceRow>(&place)? else { return Ok(()) };
                if row.tentative && open(&sealer, &place, "password", &row.password.0)? == password {
                    row.tentative = false;
                    tx.put(&place, &row, None)?;
                }
                Ok(())
            })
            .await
    }

    async fn refresh(&self, domain: &DomainName, key: &DeviceKey, facts: &Facts) -> Result<()> {
        let (place, facts) = (keys::device(domain, key), facts.clone());
        self.kv
            .write(move |tx| match tx.get::<DeviceRow>(&place)? {
                Some(row) => tx.put(&place, &DeviceRow { facts, ..row }, None),
                None => Ok(()),
            })
            .await
    }

    async fn remove(&self, domain: &DomainName, key: &DeviceKey) -> Result<bool> {
        let (of, device) = (domain.clone(), key.clone());
        let removed = self.kv.write(move |tx| {
            let place = keys::device(&of, &device);
            if !tx.has(&place)? {
                return Ok(false);
            }
            drop_record(tx, &of, &device)?;
            tx.remove(&keys::owner(&device))?;
            Ok(true)
        });
        let removed = removed.await?;
        if removed {
            self.memory.forget(domain, key);
        }
        Ok(removed)
    }

    async fn claim_port(&self, domain: &DomainName, key: &DeviceKey, port: &str, code: Code) -> Result<PortClaim> {
        let (domain, key, port) = (domain.clone(), key.clone(), port.to_owned());
        let name = self.name(CodeUse::Record, code);
        self.kv.write(move |tx| entry::claim_port(tx, &domain, &key, &port, &name)).await
    }

    async fn devices(&self, domain: &DomainName, after: DeviceId, limit: usize) -> Result<Vec<DeviceListing>> {
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
            Ok(DeviceListing { device, at })
        });
        listings.collect()
    }

    async fn device_count(&self, domain: &DomainName) -> Result<u64> {
        self.kv.read(|snapshot| snapshot.count(&keys::devices(domain)))
    }

    async fn rename(&self, domain: &DomainName, key: &DeviceKey, name: Option<&str>) -> Result<bool> {
        let name = name.filter(|name| !name.is_empty()).map(Into::into);
        self.change(domain, key, |row| (row.name, row.named_by_code) = (name, false)).await
    }

    async fn set_app_ip(&self, domain: &DomainName, key: &DeviceKey, path: Option<&AppIpPath>) -> Result<bool> {
        let path = path.cloned();
        self.change(domain, key, |row| row.app_ip = path).await
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
        // A repetition after a time-out.
        if from != &entry.domain
            && let Some(there) = self.find_device(&entry.key).await?
            && there.domain == entry.domain
            && there.password == entry.password
        {
            return Ok(Entered::In(Box::new(there)));
        }
        let sealed = self.sealed(entry);
        let (old, new, quotas) = (from.clone(), entry.clone(), self.limits.quotas);
        let entered = self.kv.write(move |tx| entry::transfer(tx, &old, &new, &quotas, sealed)).await?;
        if matches!(entered, Entered::In(_)) && from != &entry.domain {
            self.memory.forget(from, &entry.key);
        }
        Ok(entered)
    }
}

impl Embedded {
    /// The secrets of an entry.
    fn sealed(&self, entry: &Entry) -> SealedEntry {
        let place = keys::device(&entry.domain, &entry.key);
        let sealed = |field, secret| Sealed(seal(&self.sealer, &place, field, secret));
        let admin = entry.admin_password.as_ref().map(|secret| sealed("admin", secret));
        let name = match entry.right {
            EntryRight::Code(code) => Some(self.name(CodeUse::Record, code)),
            EntryRight::Auto | EntryRight::Manual | EntryRight::Carried { .. } => None,
        };
        SealedEntry { password: sealed("password", &entry.password), admin, name }
    }

    fn device(&self, key: &DeviceKey, domain: DomainName, row: DeviceRow) -> Result<Device> {
        let place = keys::device(&domain, key);
        let secret = |field, sealed: &Sealed| open(&self.sealer, &place, field, &sealed.0);
        // Nobody asks for the code of an entry whose password is proved and whose notice is sent, and opening it would
        // cost each registration.
        let wanted = row.tentative || row.pending.is_some();
        let code = match row.entry_code.as_ref().or(row.pending.as_ref()).filter(|_| wanted) {
            Some(name) => {
                let sealed = row.sealed.as_deref().map(hex::decode).transpose().map_err(|e| corrupt(&place, &e))?;
                Some(open_code(&self.sealer, &place, &domain, name, sealed.as_deref())?)
            }
            None => None,
        };
        Ok(Device {
            id: row.id,
            key: key.clone(),
            category: row.category,
            way: row.way,
            password: secret("password", &row.password)?,
            tentative: row.tentative,
            admin_password: row.admin.as_ref().map(|sealed| secret("admin", sealed)).transpose()?,
            entry_code: code.filter(|_| row.entry_code.is_some()),
            pending: code.filter(|_| row.pending.is_some()),
            entered: row.entered,
            name: row.name,
            app_ip: row.app_ip,
            work: row.work,
            facts: row.facts,
            domain,
        })
    }

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
