//! Ownership of a device: one key outside all domains, so it cannot be changed in the same script as the device's
//! record.
//!
//! An entry therefore reserves the device, writes the record, and makes the reservation permanent. If the process
//! dies in between, the reservation ends by itself; the record that it may have left belongs to no domain until the
//! device enters again.

use std::time::Duration;

use ::redis::cmd;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::store::{Result, StoreError};

static OWN: LazyScript = script!("own");

/// How long an entry may take before another domain may reserve the device.
const RESERVED: Duration = Duration::from_secs(60);

/// How often the owner may disappear concurrently (the device is being removed) before the entry fails.
const TRIES: u32 = 3;

/// Result of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reservation {
    /// The device had no owner.
    New,
    /// It belongs to this domain, or is reserved for it.
    Ours,
    /// It belongs to another domain.
    Theirs,
}

impl Redis {
    pub(super) async fn reserve(&self, key: &DeviceKey, domain: &DomainName) -> Result<Reservation> {
        let set = cmd("SET")
            .arg(keys::owner(key))
            .arg(domain.as_str())
            .arg("NX")
            .arg("GET")
            .arg("PX")
            .arg(millis(RESERVED))
            .take();
        let owner: Option<String> = self.client.ask(&set).await?;
        Ok(match owner {
            None => Reservation::New,
            Some(owner) if owner == domain.as_str() => Reservation::Ours,
            Some(_) => Reservation::Theirs,
        })
    }

    /// Makes the reservation permanent for the entry `entry` of the device. False if another domain owns the device.
    pub(super) async fn own(&self, key: &DeviceKey, domain: &DomainName, entry: &str) -> Result<bool> {
        for _ in 0..TRIES {
            let owner: String = self.client.eval(OWN.key(keys::owner(key)).arg(domain.as_str())).await?;
            match owner.as_str() {
                "ours" => return Ok(true),
                "theirs" => return Ok(false),
                _ => {}
            }
            // No owner: the reservation has expired, or the device was removed. Only in the first case may it be
            // reserved again, or a device without a record could never enter another domain.
            if self.reserve(key, domain).await? == Reservation::Theirs {
                return Ok(false);
            }
            let read = cmd("HGET").arg(keys::device(domain, key)).arg("entry").take();
            let there: Option<String> = self.client.ask(&read).await?;
            if there.as_deref() != Some(entry) {
                self.disown(key, domain).await?;
                break;
            }
        }
        Err(StoreError::Unavailable("the device was removed while it entered".into()))
    }

    /// Ends the ownership of this domain.
    pub(super) async fn disown(&self, key: &DeviceKey, domain: &DomainName) -> Result<()> {
        self.delete_if(&keys::owner(key), domain.as_str()).await
    }
}
