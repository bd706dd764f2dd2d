//! Export of the results of a site: its devices with their outcomes, used codes, timelines.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{PAGE, category_name, manifest};
use crate::admin::services::Services;
use crate::admin::{Admin, AdminError, Authority, Result, still};
use crate::core::model::device::{CodeState, Device, Domain};
use crate::core::model::ids::{Code, DeviceId, JobId};
use crate::core::model::time::UnixMillis;
use crate::core::model::timeline::Subject;
use crate::core::model::work::{Progress, Work};
use crate::core::policy::bundle::{CarriedDevice, CarriedTimeline, Record, UsedCode};
use crate::core::protocol::bundle::{Kind, Lock, Manifest};

/// Results are imported for this long.
const VALID: Duration = Duration::from_secs(30 * 24 * 3600);

/// So many of the newest steps of a timeline are carried out.
const STEPS: usize = 30;

/// The results of a site, page by page.
pub(super) struct Results {
    services: Arc<Services>,
    authority: Authority,
    domain: Arc<Domain>,
    /// Numbers of jobs: here → at the centre.
    jobs: HashMap<JobId, JobId>,
    part: Part,
}

enum Part {
    Devices(DeviceId),
    Used(Option<(UnixMillis, Code)>),
    Timelines(DeviceId),
    Over,
}

impl Admin {
    /// Begins the results of this site for the centre that the domain comes from.
    pub(super) async fn begin_results(
        &self,
        authority: &Authority,
        named: &str,
        lock: &Lock,
    ) -> Result<(Manifest, Results)> {
        authority.instance_only()?;
        let domain = self.domain(authority, named).await?;
        let store = &self.services.store;
        let mut state = store.bundle_state(&domain.name).await?;
        let Some(from) = &mut state.from else {
            let why = "the domain comes from no centre; results go out where a bundle of a centre was imported";
            return Err(AdminError::Conflict(why.into()));
        };
        if !from.taken.whole {
            let why =
                format!("the import of bundle {} was interrupted; import that file again first", from.taken.serial);
            return Err(AdminError::Conflict(why));
        }
        from.results += 1;
        let (serial, centre, site) = (from.results, from.centre.clone(), from.site.clone());
        let jobs = from.jobs.iter().map(|(there, here)| (*here, *there)).collect();
        self.keep_state(&domain.name, &mut state).await?;
        self.record(authority, "bundle.export", site.as_str(), Some(&domain.name)).await;
        let now = store.now().await?;
        let whom = (&*centre, &site, &domain.name);
        let manifest = manifest((Kind::Results, serial), whom, (now, now + VALID), lock);
        let (services, authority) = (Arc::clone(&self.services), authority.clone());
        let results = Results { services, authority, domain, jobs, part: Part::Devices(DeviceId(0)) };
        Ok((manifest, results))
    }
}

impl Results {
    /// The next records; none at the end.
    pub async fn next(&mut self) -> Result<Vec<Record>> {
        loop {
            still(&self.services, &self.authority, &self.domain)?;
            let records = match self.part {
                Part::Devices(after) => self.devices(after).await?,
                Part::Used(before) => self.used(before).await?,
                Part::Timelines(after) => self.timelines(after).await?,
                Part::Over => return Ok(Vec::new()),
            };
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }

    async fn devices(&mut self, after: DeviceId) -> Result<Vec<Record>> {
        let page = self.services.store.devices(&self.domain.name, after, PAGE).await?;
        self.part = match page.last() {
            Some(last) => Part::Devices(last.device.id),
            None => Part::Used(None),
        };
        Ok(page.into_iter().filter_map(|listing| self.device(listing.device)).collect())
    }

    fn device(&self, device: Device) -> Option<Record> {
        Some(Record::Device(Box::new(CarriedDevice {
            category: category_name(&self.domain, device.category)?.into(),
            work: self.at_centre(&device.work),
            key: device.key,
            way: device.way,
            password: device.password,
            admin_password: device.admin_password,
            entered: device.entered,
            name: device.name,
            facts: device.facts,
        })))
    }

    /// The progress with the numbers that the jobs have at the centre. That of a job of this site alone stays here.
    fn at_centre(&self, work: &Work) -> Work {
        let there =
            |progress: &Progress| Some(Progress { job: Some(*self.jobs.get(&progress.job?)?), ..progress.clone() });
        let configs = work.configs.iter().filter_map(|configured| {
            let progress = there(&configured.progress)?;
            Some(crate::core::model::work::Configured { progress, ..configured.clone() })
        });
        Work {
            entry: work.entry,
            update: work.update.as_ref().and_then(there),
            configs: configs.collect(),
            clean_up: work.clean_up.clone(),
        }
    }

    async fn used(&mut self, before: Option<(UnixMillis, Code)>) -> Result<Vec<Record>> {
        let page = self.services.store.codes(&self.domain.name, before, PAGE).await?;
        self.part = match page.last() {
            Some(last) => Part::Used(Some((last.issued, last.code.code))),
            None => Part::Timelines(DeviceId(0)),
        };
        let used = page.into_iter().filter_map(|listing| match listing.code.state {
            CodeState::Used { by, port } => Some(Record::Used(UsedCode { code: listing.code.code, device: by, port })),
            CodeState::Open | CodeState::Lent { .. } => None,
        });
        Ok(used.collect())
    }

    async fn timelines(&mut self, after: DeviceId) -> Result<Vec<Record>> {
        let store = &self.services.store;
        let page = store.devices(&self.domain.name, after, PAGE).await?;
        self.part = match page.last() {
            Some(last) => Part::Timelines(last.device.id),
            None => Part::Over,
        };
        let mut records = Vec::with_capacity(page.len());
        for listing in page {
            let device = listing.device.key;
            let mut steps = store.timeline(&self.domain.name, &Subject::Device(device.clone())).await?;
            steps.drain(..steps.len().saturating_sub(STEPS));
            if !steps.is_empty() {
                records.push(Record::Timeline(CarriedTimeline { device, steps }));
            }
        }
        Ok(records)
    }
}
