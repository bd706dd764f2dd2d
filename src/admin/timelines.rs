//! What has happened to a device or a code, and why it stands still.

use super::{Admin, AdminError, Authority, Result};
use crate::core::model::device::{CodeState, Device, Domain};
use crate::core::model::ids::{Code, DeviceKey};
use crate::core::model::timeline::{Step, Subject};
use crate::core::policy::blocked_reason::{BlockedReason, DeviceNow, of_code, of_device};
use crate::core::policy::jobs::plan::{Occasion, plan};

/// A timeline, and why nothing more happens.
#[derive(Debug, Clone)]
pub struct TimelineReport {
    /// The steps, oldest first.
    pub steps: Vec<Step>,
    /// Why it stands still, if it does.
    pub standstill: Option<BlockedReason>,
}

impl Admin {
    /// The story of a device. That of one that has left the domain is told as long as it is kept.
    pub async fn device_story(&self, authority: &Authority, named: &str, key: &DeviceKey) -> Result<TimelineReport> {
        let domain = self.domain(authority, named).await?;
        let steps = self.services.store.timeline(&domain.name, &Subject::Device(key.clone())).await?;
        let device = self.device_in(&domain, key).await?;
        if device.is_none() && steps.is_empty() {
            return Err(AdminError::NotFound("device"));
        }
        let standstill = match &device {
            Some(device) => self.look(&domain, device, &steps, |now| of_device(&now)).await?,
            None => None,
        };
        Ok(TimelineReport { steps, standstill })
    }

    /// The story of a code. That of one that has ended is told as long as it is kept.
    pub async fn code_story(&self, authority: &Authority, named: &str, code: Code) -> Result<TimelineReport> {
        let domain = self.domain(authority, named).await?;
        let store = &self.services.store;
        let steps = store.timeline(&domain.name, &Subject::Code(code)).await?;
        let record = store.code_in(&domain.name, code).await?;
        if record.is_none() && steps.is_empty() {
            return Err(AdminError::NotFound("code"));
        }
        let device = match record.as_ref().map(|record| &record.state) {
            Some(CodeState::Used { by, .. }) => self.device_in(&domain, by).await?,
            _ => None,
        };
        let standstill = match &device {
            Some(device) => {
                let its = store.timeline(&domain.name, &Subject::Device(device.key.clone())).await?;
                self.look(&domain, device, &its, |now| of_code(record.as_ref(), &steps, Some(&now))).await?
            }
            None => of_code(record.as_ref(), &steps, None),
        };
        Ok(TimelineReport { steps, standstill })
    }

    async fn device_in(&self, domain: &Domain, key: &DeviceKey) -> Result<Option<Device>> {
        let device = self.services.store.find_device(key).await?;
        Ok(device.filter(|device| device.domain == domain.name))
    }

    /// Puts together what is known of a device now.
    async fn look(
        &self,
        domain: &Domain,
        device: &Device,
        steps: &[Step],
        judge: impl FnOnce(DeviceNow<'_>) -> Option<BlockedReason>,
    ) -> Result<Option<BlockedReason>> {
        let store = &self.services.store;
        let online = store.whereabouts(&domain.name, &device.key).await?.is_some();
        let (jobs, pace) = (self.services.tenants.jobs(&domain.name), &self.services.retry);
        let plan = plan(device, &jobs, Occasion::Meanwhile, store.now().await?, pace);
        Ok(judge(DeviceNow { device, online, plan: &plan, steps }))
    }
}
