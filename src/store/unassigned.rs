//! Unassigned devices: connected or recently seen, but of no domain.

use std::time::Duration;

use super::observed::store_trait;
use super::{Recorded, Result, Whereabouts};
use crate::core::model::device::{Facts, UnassignedDevice};
use crate::core::model::ids::{DeviceId, DeviceKey};
use crate::core::policy::limits::SourceKey;

/// An unassigned device in a list.
#[derive(Debug, Clone)]
pub struct UnassignedListing {
    /// The record.
    pub device: UnassignedDevice,
    /// Where it is online now.
    pub at: Option<Whereabouts>,
}

store_trait! {
    /// Unassigned devices. A record ends by itself, and when the device enters a domain.
    pub trait UnassignedDevices: Send + Sync {
        /// Records or refreshes an unassigned device that identifies from `source`. The record ends after `keep`, or
        /// when it gives way to a newer one ([`super::Limits::unassigned`]).
        async fn record_unassigned(
            &self,
            key: &DeviceKey,
            facts: &Facts,
            source: Option<SourceKey>,
            keep: Duration,
        ) -> Result<Recorded> => RecordUnassigned;

        /// Up to `limit` unassigned devices with a number above `after`, sorted by number. Fewer only at the end of
        /// the list.
        async fn unassigned_devices(
            &self,
            after: DeviceId,
            limit: usize,
        ) -> Result<Vec<UnassignedListing>> => ListUnassigned;

        /// How many unassigned devices there are.
        async fn unassigned_count(&self) -> Result<u64> => UnassignedCount;

        /// An unassigned device is online on this connection: its record is kept for `keep` from now on. False if
        /// there is none. To be repeated for as long as the connection lasts.
        async fn attach_unassigned(
            &self,
            key: &DeviceKey,
            at: &Whereabouts,
            keep: Duration,
        ) -> Result<bool> => AttachUnassigned;

        /// Its connection has ended. Does nothing if another one has replaced it.
        async fn detach_unassigned(&self, key: &DeviceKey, at: &Whereabouts) -> Result<()> => DetachUnassigned;

        /// An unassigned device.
        async fn unassigned_device(&self, key: &DeviceKey) -> Result<Option<UnassignedListing>> => FindUnassigned;

        /// Removes the record of an unassigned device. False if there is none.
        async fn forget_unassigned(&self, key: &DeviceKey) -> Result<bool> => ForgetUnassigned;
    }
}
