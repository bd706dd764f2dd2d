//! Timelines of devices and codes, with their blocked reasons.

use super::{Admin, AdminError, Authority, Result};
use crate::core::model::device::{CodeState, Device, Domain};
use crate::core::model::ids::{Code, DeviceKey};
use crate::core::model::timeline::{Step, Subject};
use crate::core::policy::blocked_reason::{BlockedReason, DeviceNow, of_code, of_device};
use crate::core::policy::jobs::plan::{Occasion, plan};

/// A timeline with its blocked reason.
#[derive(Debug, Clone)]
pub struct TimelineReport {
    /// The events, oldest first.
    pub steps: Vec<Step>,
    /// Why the device or code is not done, if it is blocked.
    pub blocked_reason: Option<BlockedReason>,
}

impl Admin {
    /// The timeline of a device, also after it has left the domain, as long as the timeline is kept.
    pub async fn device_timeline(&self, authority: &Authority, named: &str, key: &DeviceKey) -> Result<TimelineReport> {
        let domain = self.domain(authority, named).await?;
        let steps = self.services.store.timeline(&domain.name, &Subject::Device(key.clone())).await?;
        let device = self.device_in(&domain, key).await?;
        if device.is_none() && steps.is_empty() {
            return Err(AdminError::NotFound("device"));
        }
        let blocked_reason = match &device {
            Some(device) => self.judge_device(&domain, device, &steps, |now| of_device(&now)).await?,
            None => None,
        };
        Ok(TimelineReport { steps, blocked_reason })
    }

    /// The timeline of a code, also after the code has ended, as long as the timeline is kept.
    pub async fn code_timeline(&self, authority: &Authority, named: &str, code: Code) -> Result<TimelineReport> {
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
        let blocked_reason = match &device {
            Some(device) => {
                let device_steps = store.timeline(&domain.name, &Subject::Device(device.key.clone())).await?;
                self.judge_device(&domain, device, &device_steps, |now| of_code(record.as_ref(), &steps, Some(&now)))
                    .await?
            }
            None => of_code(record.as_ref(), &steps, None),
        };
        Ok(TimelineReport { steps, blocked_reason })
    }

    async fn device_in(&self, domain: &Domain, key: &DeviceKey) -> Result<Option<Device>> {
        let device = self.services.store.find_device(key).await?;
        Ok(device.filter(|device| device.domain == domain.name))
    }

    /// Collects the current state of a device and passes it to `judge`.
    async fn judge_device(
        &self,
        domain: &Domain,
        device: &Device,
        steps: &[Step],
        judge: impl FnOnce(DeviceNow<'_>) -> Option<BlockedReason>,
    ) -> Result<Option<BlockedReason>> {
        let store = &self.services.store;
        let online = store.whereabouts(&domain.name, &device.key).await?.is_some();
        let (jobs, pace) = (self.services.tenants.jobs(&domain.name), &self.services.retry);
        let plan = plan(device, domain, &jobs, Occasion::Meanwhile, store.now().await?, pace);
        Ok(judge(DeviceNow { device, online, plan: &plan, steps }))
    }
}
