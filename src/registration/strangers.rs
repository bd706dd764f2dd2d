//! Records of unassigned devices. They are bounded and a convenience: a device that is not recorded is only missing from
//! the list of operators.

use std::sync::PoisonError;

use crate::clock;
use crate::core::model::device::Facts;
use crate::core::model::ids::DeviceKey;
use crate::core::policy::limits::SourceKey;
use crate::metrics::{self, Counter, StrangerRecord, Strangers};
use crate::store::Result;

use super::RegistrationService;

impl RegistrationService {
    /// Records an unassigned device that identifies from this source, unless too many come from there.
    pub(super) async fn record_stranger(&self, key: &DeviceKey, facts: &Facts, source: SourceKey) -> Result<()> {
        let pace = || self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if !pace().take(Some(source), clock::now()) {
            metrics::count(Counter::StrangerRecord(Strangers::Unassigned, StrangerRecord::Skipped));
            return Ok(());
        }
        let recorded = self.store.record_unassigned(key, facts, Some(source), self.limits.keep_unassigned).await?;
        if !recorded.first {
            pace().give_back(Some(source));
        }
        metrics::count_stranger(Strangers::Unassigned, recorded.first, recorded.kept, recorded.evicted);
        Ok(())
    }

    /// Records an unassigned device that is still connected, after its record has given way to others. Does nothing for
    /// one that has entered a domain.
    pub async fn record_again(&self, key: &DeviceKey, facts: &Facts, source: SourceKey) -> Result<()> {
        match self.store.find_device(key).await? {
            Some(_) => Ok(()),
            None => self.record_stranger(key, facts, source).await,
        }
    }
}
