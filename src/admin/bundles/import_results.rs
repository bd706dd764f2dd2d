//! Import of the results of a site at its centre: devices, used codes, timelines.

use std::fs::File;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use super::file::Records;
use super::import::{ImportOutcome, ImportReport, begun, outcome};
use super::{CONCURRENT, PAGE, category_named};
use crate::admin::{Admin, AdminError, Authority, Result};
use crate::core::model::bundle::SiteName;
use crate::core::model::device::{Device, Domain};
use crate::core::model::quota::QuotaKind;
use crate::core::model::timeline::Subject;
use crate::core::model::work::Work;
use crate::core::policy::bundle::{CarriedDevice, CarriedTimeline, Outline, Record, UsedCode};
use crate::core::policy::jobs::Job;
use crate::core::protocol::bundle::{FileKey, Manifest};
use crate::store::{Entered, Entry, EntryRight};

/// What becomes of a device of the results.
enum Carried {
    Written,
    LeftOut(String),
}

impl Admin {
    pub(super) async fn import_results(
        &self,
        authority: &Authority,
        manifest: Manifest,
        outline: Outline,
        (file, key): (&mut File, &FileKey),
    ) -> Result<ImportReport> {
        let store = &self.services.store;
        let (name, site) = (manifest.domain.clone(), manifest.site.clone());
        let domain = self.services.tenants.find(&name).await?;
        let mut state = store.bundle_state(&name).await?;
        let (Some(domain), true) = (domain, state.sites.contains_key(&site)) else {
            let why = format!("no bundle of the domain {name} was made for the site {site} here; nothing is imported");
            return Err(AdminError::Conflict(why));
        };
        let last = state.sites.get(&site).and_then(|loan| loan.results.as_ref());
        match outcome(&manifest, last)? {
            ImportOutcome::Imported => {}
            nothing => {
                authority.set_recorded();
                return Ok(ImportReport::new(manifest, nothing));
            }
        }
        self.check_devices(&domain, &outline, (file, key)).await?;
        let mut taken = begun(&manifest, store.now().await?);
        state.sites.entry(site.clone()).or_default().results = Some(taken.clone());
        self.keep_state(&name, &mut state).await?;

        let mut report = ImportReport::new(manifest, ImportOutcome::Imported);
        let done = self.apply_results(&domain, &site, Records::new(file, key)?, &mut report).await;
        if let Err(error) = done {
            return Err(AdminError::Unavailable(format!("{error}; not all is imported: import the same file again")));
        }
        taken.whole = true;
        state.sites.entry(site.clone()).or_default().results = Some(taken);
        self.keep_state(&name, &mut state).await?;
        self.record(authority, "bundle.import", site.as_str(), Some(&name)).await;
        self.changed(&name).await;
        Ok(report)
    }

    /// Whether the quota has room for the devices that are new here.
    async fn check_devices(
        &self,
        domain: &Domain,
        outline: &Outline,
        (file, key): (&mut File, &FileKey),
    ) -> Result<()> {
        let store = &self.services.store;
        let have = store.device_count(&domain.name).await?;
        // Most of the time there is room in any case.
        if self.services.quotas.check(QuotaKind::Devices, have, outline.devices).is_ok() {
            return Ok(());
        }
        let (mut records, mut new) = (Records::new(file, key)?, 0);
        loop {
            let page = records.page(PAGE, device)?;
            if page.is_empty() {
                return Ok(self.services.quotas.check(QuotaKind::Devices, have, new)?);
            }
            for device in page {
                new += u64::from(store.find_device(&device.key).await?.is_none());
            }
        }
    }

    async fn apply_results(
        &self,
        domain: &Arc<Domain>,
        site: &SiteName,
        mut records: Records<'_>,
        report: &mut ImportReport,
    ) -> Result<()> {
        let store = &self.services.store;
        let jobs = store.jobs(&domain.name).await?;
        loop {
            let page = records.page(PAGE, |record| Some(record).filter(|record| !matches!(record, Record::End(_))))?;
            if page.is_empty() {
                return Ok(());
            }
            let (mut devices, mut used, mut timelines) = (Vec::new(), Vec::new(), Vec::new());
            for record in page {
                match record {
                    Record::Device(device) => devices.push(*device),
                    Record::Used(code) => used.push(code),
                    Record::Timeline(timeline) => timelines.push(timeline),
                    _ => {}
                }
            }
            let jobs = &jobs;
            let mut done =
                stream::iter(devices).map(|device| self.carry(domain, device, jobs)).buffer_unordered(CONCURRENT);
            while let Some(one) = done.next().await {
                match one? {
                    Carried::Written => report.devices += 1,
                    Carried::LeftOut(line) => report.leave_out(line),
                }
            }
            for UsedCode { code, device, port } in used {
                let settled = store.settle_loan(&domain.name, code, site, &device, port.as_deref()).await?;
                report.codes += u64::from(settled);
            }
            for CarriedTimeline { device, steps } in timelines {
                let known = store.find_device(&device).await?.is_some_and(|device| device.domain == domain.name);
                if known {
                    store.carry_timeline(&domain.name, &Subject::Device(device), &steps).await?;
                }
            }
        }
    }

    /// Writes a device of a site, unless the centre knows something newer.
    async fn carry(&self, domain: &Domain, device: CarriedDevice, jobs: &[Job]) -> Result<Carried> {
        let store = &self.services.store;
        let key = &device.key;
        let Some(category) = category_named(domain, &device.category) else {
            let name = &device.category;
            return Ok(Carried::LeftOut(format!(
                "device {key}: the category {name} is not there; make it and import again"
            )));
        };
        let there = store.find_device(key).await?;
        if let Some(there) = &there {
            if there.domain != domain.name {
                let why = format!("device {key}: it belongs to the domain {}", there.domain);
                return Ok(Carried::LeftOut(why));
            }
            if store.whereabouts(&domain.name, key).await?.is_some() {
                return Ok(Carried::LeftOut(format!(
                    "device {key}: it is connected here, so what it says here counts"
                )));
            }
            if there.password != device.password && there.entered >= device.entered {
                return Ok(Carried::LeftOut(format!("device {key}: it has entered here later")));
            }
        }
        let work = with_configs(&device, jobs);
        let entered = match there {
            Some(there) if there.password == device.password => {
                store.recategorise(&domain.name, key, category.id).await?;
                store.refresh(&domain.name, key, &device.facts).await?;
                there
            }
            _ => match self.enter_carried(domain, category.id, &device).await? {
                Some(entered) => entered,
                None => return Ok(Carried::LeftOut(format!("device {key}: it has just entered another domain"))),
            },
        };
        store.keep_work(&domain.name, key, &Work { entry: entered.entered, ..work }).await?;
        Ok(Carried::Written)
    }

    async fn enter_carried(
        &self,
        domain: &Domain,
        category: crate::core::model::ids::CategoryId,
        device: &CarriedDevice,
    ) -> Result<Option<Device>> {
        let entry = Entry {
            key: device.key.clone(),
            domain: domain.name.clone(),
            category,
            right: EntryRight::Carried { way: device.way, entered: device.entered },
            password: device.password.clone(),
            admin_password: device.admin_password.clone(),
            name: device.name.clone(),
            facts: device.facts.clone(),
        };
        let store = &self.services.store;
        let Entered::In(entered) = store.enter(&entry).await? else { return Ok(None) };
        // It has answered with this password at its site.
        store.confirm(&domain.name, &device.key, &device.password).await?;
        Ok(Some(*entered))
    }
}

fn device(record: Record) -> Option<Box<CarriedDevice>> {
    match record {
        Record::Device(device) => Some(device),
        _ => None,
    }
}

/// The progress with the numbers that the device configurations have here.
fn with_configs(device: &CarriedDevice, jobs: &[Job]) -> Work {
    let mut work = device.work.clone();
    for configured in &mut work.configs {
        let job = jobs.iter().find(|job| Some(job.id) == configured.progress.job);
        configured.config = configured.config.and_then(|_| job?.config);
    }
    work
}
