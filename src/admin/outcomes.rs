//! What has come of jobs, over all devices of a domain.

use super::{Admin, Authority, Page, Result};
use crate::core::model::device::Device;
use crate::core::model::ids::{DeviceId, JobId};
use crate::core::model::work::Progress;
use crate::core::policy::jobs::config::Kind;
use crate::store::DeviceListing;

/// Which work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The software update.
    Update,
    /// A configuration.
    Config(Kind),
    /// The clean-up after an entry by code.
    CleanUp,
}

/// What has come of one piece of work for one device.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Which work.
    pub what: What,
    /// How far it has come.
    pub progress: Progress,
}

impl Outcome {
    /// Those of a device since its last entry.
    pub fn of(device: &Device) -> Vec<Self> {
        let work = &device.work;
        if work.entry != device.entered {
            return Vec::new();
        }
        let update = work.update.iter().map(|progress| (What::Update, progress));
        let configs = work.configs.iter().map(|config| (What::Config(config.kind), &config.progress));
        let clean_up = work.clean_up.iter().map(|progress| (What::CleanUp, progress));
        let all = update.chain(configs).chain(clean_up);
        all.map(|(what, progress)| Self { what, progress: progress.clone() }).collect()
    }
}

impl Admin {
    /// The devices of a domain after `after` with what has come of their work, or of one job.
    pub async fn outcomes(
        &self,
        authority: &Authority,
        domain: &str,
        job: Option<JobId>,
        after: DeviceId,
        limit: usize,
    ) -> Result<Page<(DeviceListing, Vec<Outcome>)>> {
        let domain = self.domain(authority, domain).await?;
        let wanted = |outcome: &Outcome| job.is_none_or(|job| outcome.progress.job == Some(job));
        let pick = |listing: DeviceListing| {
            let outcomes: Vec<_> = Outcome::of(&listing.device).into_iter().filter(wanted).collect();
            (!outcomes.is_empty()).then_some((listing, outcomes))
        };
        self.scan(&domain.name, after, limit, pick).await
    }
}
