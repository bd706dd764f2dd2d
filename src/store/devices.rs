//! Devices of a domain: entry, ownership, and what operators see and change.
//!
//! Devices of no domain are in `unassigned.rs`, where a device is online in `presence.rs`, offers between domains in
//! `offers.rs`.

use super::observed::store_trait;
use super::{Result, Whereabouts};
use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::device::{Device, Facts, Way};
use crate::core::model::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainName, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::model::work::Work;

/// The right by which a device enters a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryRight {
    /// An open code, or one that this very device has used while its password is tentative. It is used up.
    Code(Code),
    /// The query of automatic provisioning, already checked.
    Auto,
    /// An administrator's order.
    Manual,
    /// It has entered at a site, whose results say so.
    Carried {
        /// How it entered there.
        way: Way,
        /// When.
        entered: UnixMillis,
    },
}

impl EntryRight {
    /// The way of entry that is recorded.
    pub const fn way(&self) -> Way {
        match self {
            Self::Code(_) => Way::Code,
            Self::Auto => Way::Auto,
            Self::Manual => Way::Manual,
            Self::Carried { way, .. } => *way,
        }
    }
}

impl EntryRight {
    /// When the device has entered; `None`: now.
    pub(super) const fn entered(&self) -> Option<UnixMillis> {
        match self {
            Self::Carried { entered, .. } => Some(*entered),
            Self::Code(_) | Self::Auto | Self::Manual => None,
        }
    }
}

/// An entry into a domain (`docs/protocol/sysclient.md` 5.1).
#[derive(Debug, Clone)]
pub struct Entry {
    /// The device that enters.
    pub key: DeviceKey,
    /// The domain that it enters.
    pub domain: DomainName,
    /// The category that it enters.
    pub category: CategoryId,
    /// By which right.
    pub right: EntryRight,
    /// The new device password.
    pub password: Secret,
    /// The random administrative password, if the device gets one.
    pub admin_password: Option<Secret>,
    /// The name that goes with the code: the SIP name of the user. An operator's name stays.
    pub name: Option<Box<str>>,
    /// What the device reports about itself.
    pub facts: Facts,
}

/// Result of an entry.
#[derive(Debug, Clone)]
pub enum Entered {
    /// The device has entered: record written, code used up, password tentative, and for a code the notice pending.
    In(Box<Device>),
    /// The code is not open (any more), is of another domain, or was used by another device. Nothing has changed.
    CodeNotOpen,
    /// The device belongs to another domain. Nothing has changed; the code is still open.
    OwnedElsewhere,
}

/// Result of using a code for an analogue port (`docs/protocol/sysclient.md` 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortClaim {
    /// The port is recorded, the code used up, and the notice is in the mailbox.
    Recorded,
    /// The code is not open.
    CodeNotOpen,
    /// The code is open, but of another domain. It stays open.
    WrongDomain,
}

/// A device in a list.
#[derive(Debug, Clone)]
pub struct DeviceListing {
    /// The record.
    pub device: Device,
    /// Where it is online now.
    pub at: Option<Whereabouts>,
}

store_trait! {
    /// Devices and the domain that owns each of them.
    pub trait Devices: Send + Sync {
        /// The record of a device that belongs to a domain.
        async fn find_device(&self, key: &DeviceKey) -> Result<Option<Device>> => FindDevice;

        /// Enters a device into a domain, whole or not at all. A device of the same domain enters again: new
        /// password, new category, its number stays. The same device may present the same code again until
        /// [`Devices::confirm`].
        async fn enter(&self, entry: &Entry) -> Result<Entered> => Enter;

        /// The device has answered a challenge with `password`: it is no longer tentative. Does nothing if there is a
        /// newer password.
        async fn confirm(&self, domain: &DomainName, key: &DeviceKey, password: &Secret) -> Result<()> => Confirm;

        /// Replaces what a member reports about itself.
        async fn refresh(&self, domain: &DomainName, key: &DeviceKey, facts: &Facts) -> Result<()> => Refresh;

        /// Removes a device: record, password and ownership. False if it was not in this domain.
        async fn remove(&self, domain: &DomainName, key: &DeviceKey) -> Result<bool> => Remove;

        /// Uses up a code for an analogue port of a member and puts the notice into the mailbox.
        async fn claim_port(
            &self,
            domain: &DomainName,
            key: &DeviceKey,
            port: &str,
            code: Code,
        ) -> Result<PortClaim> => ClaimPort;

        /// Up to `limit` devices of a domain with a number above `after`, sorted by number. Fewer only at the end of
        /// the list.
        async fn devices(
            &self,
            domain: &DomainName,
            after: DeviceId,
            limit: usize,
        ) -> Result<Vec<DeviceListing>> => Devices;

        /// How many devices belong to a domain.
        async fn device_count(&self, domain: &DomainName) -> Result<u64> => DeviceCount;

        /// Gives a device a name by hand, or removes its name. False if the device is not of this domain.
        async fn rename(&self, domain: &DomainName, key: &DeviceKey, name: Option<&str>) -> Result<bool> => Rename;

        /// Sets the path of the App IP of a device, or removes it. False if the device is not of this domain.
        async fn set_app_ip(
            &self,
            domain: &DomainName,
            key: &DeviceKey,
            path: Option<&AppIpPath>,
        ) -> Result<bool> => SetAppIp;

        /// Puts a device into another category of its domain. False if it is not of this domain.
        async fn recategorise(
            &self,
            domain: &DomainName,
            key: &DeviceKey,
            category: CategoryId,
        ) -> Result<bool> => Recategorise;

        /// Keeps the progress of the work of a device. Does nothing if the device is not of this domain or has
        /// entered anew since.
        async fn keep_work(&self, domain: &DomainName, key: &DeviceKey, work: &Work) -> Result<()> => KeepWork;

        /// Names of the analogue ports in operation, sorted; `None` if the device is not of this domain.
        async fn ports(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Vec<Box<str>>>> => Ports;

        /// Removes an analogue port. False if there is no such port.
        async fn remove_port(&self, domain: &DomainName, key: &DeviceKey, port: &str) -> Result<bool> => RemovePort;

        /// Moves a device out of `from` into the domain of `entry` ([`EntryRight::Manual`]), whole or not at all. Its
        /// number stays; name, ports and work stay behind. A pending notice is put into the mailbox of the old
        /// domain. [`Entered::OwnedElsewhere`] if it does not belong to `from`.
        async fn transfer(&self, from: &DomainName, entry: &Entry) -> Result<Entered> => Transfer;
    }
}
