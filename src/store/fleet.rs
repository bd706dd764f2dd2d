//! The devices of a domain, and those of none, as operators and service clients see them.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Entered, Entry, Result, Whereabouts};
use crate::core::model::device::{Device, UnassignedDevice};
use crate::core::model::ids::{CategoryId, DeviceId, DeviceKey, DomainName};
use crate::core::model::work::Work;

/// A device in a list.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The record.
    pub device: Device,
    /// Where it is online now.
    pub at: Option<Whereabouts>,
}

/// An unassigned device in a list.
#[derive(Debug, Clone)]
pub struct UnassignedListing {
    /// The record.
    pub device: UnassignedDevice,
    /// Where it is online now.
    pub at: Option<Whereabouts>,
}

/// A device that one domain offers to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The device.
    pub key: DeviceKey,
    /// The domain that it belongs to.
    pub from: DomainName,
}

/// The devices of a domain as operators and service clients see them, and what operators do to them.
#[async_trait]
pub trait Fleet: Send + Sync {
    /// Up to `limit` devices of a domain with a number above `after`, sorted by number. Fewer only at the end of the list.
    async fn devices(&self, domain: &DomainName, after: DeviceId, limit: usize) -> Result<Vec<Listing>>;

    /// How many devices belong to a domain.
    async fn device_count(&self, domain: &DomainName) -> Result<u64>;

    /// Gives a device a name, or takes it away. False if it is not of this domain.
    async fn rename(&self, domain: &DomainName, key: &DeviceKey, name: Option<&str>) -> Result<bool>;

    /// Puts a device into another category of its domain. False if it is not of this domain.
    async fn recategorise(&self, domain: &DomainName, key: &DeviceKey, category: CategoryId) -> Result<bool>;

    /// Keeps how far the work for a device has come. Nothing happens if it is not of this domain or has entered anew since.
    async fn keep_work(&self, domain: &DomainName, key: &DeviceKey, work: &Work) -> Result<()>;

    /// Names of the analogue ports in operation, sorted; `None` if the device is not of this domain.
    async fn ports(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Vec<Box<str>>>>;

    /// Forgets an analogue port. False if there is no such port.
    async fn remove_port(&self, domain: &DomainName, key: &DeviceKey, port: &str) -> Result<bool>;

    /// Moves a device out of `from` into the domain of `entry` (ticket [`super::Ticket::Manual`]), whole.
    /// Its number stays; name, ports and work are of the old domain and do not go along. What is owed to Users of the old
    /// domain is put into the mailbox there. [`Entered::OwnedElsewhere`] if it does not belong to `from`.
    async fn transfer(&self, from: &DomainName, entry: &Entry) -> Result<Entered>;

    /// Keeps an offer to `to` for `keep`.
    async fn offer(&self, to: &DomainName, offer: &Offer, keep: Duration) -> Result<()>;

    /// What is offered to a domain.
    async fn offers(&self, to: &DomainName) -> Result<Vec<Offer>>;

    /// Withdraws, refuses or uses up an offer. False if there is none.
    async fn end_offer(&self, to: &DomainName, key: &DeviceKey) -> Result<bool>;

    /// Up to `limit` unassigned devices with a number above `after`, sorted by number. Fewer only at the end of the list.
    async fn unassigned_devices(&self, after: DeviceId, limit: usize) -> Result<Vec<UnassignedListing>>;

    /// How many unassigned devices there are.
    async fn unassigned_count(&self) -> Result<u64>;

    /// An unassigned device is online on this connection: its record is kept for `keep` from now on. False if there is none.
    /// Repeated for as long as the connection lasts.
    async fn attach_unassigned(&self, key: &DeviceKey, at: &Whereabouts, keep: Duration) -> Result<bool>;

    /// Its connection has ended. Nothing happens if another one has replaced it.
    async fn detach_unassigned(&self, key: &DeviceKey, at: &Whereabouts) -> Result<()>;

    /// An unassigned device.
    async fn unassigned_device(&self, key: &DeviceKey) -> Result<Option<UnassignedListing>>;

    /// Forgets an unassigned device. False if there is none.
    async fn forget_unassigned(&self, key: &DeviceKey) -> Result<bool>;
}
