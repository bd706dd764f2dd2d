//! Import at a site: the domain with its categories, jobs and codes.
//!
//! Every step may be repeated, so an import that was interrupted is completed by importing the same file again. If the
//! store refuses a step, what this import has added is taken back.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::file::Records;
use super::import::{ImportOutcome, ImportReport, begun, outcome};
use super::{CONCURRENT, PAGE, category_named};
use crate::admin::{Admin, AdminError, Authority, Result};
use crate::core::model::bundle::{BundleState, Source};
use crate::core::model::device::Domain;
use crate::core::model::ids::{Code, DomainName, JobId, Secret};
use crate::core::model::quota::QuotaKind;
use crate::core::model::time::UnixMillis;
use crate::core::policy::bundle::{CarriedCode, Outline, Record, Settings};
use crate::core::policy::jobs::{Job, JobSpec};
use crate::core::protocol::bundle::{FileKey, Manifest};
use crate::registration::{Admitted, NoCode};
use crate::store::{CodeRecord, DomainChange, NewDomain, PutCategory};

/// What an import has added, to be taken back if it is refused.
#[derive(Default)]
struct Added {
    domain: bool,
    jobs: Vec<JobId>,
    codes: Vec<Code>,
}

/// The jobs of an import.
struct Jobs {
    /// Numbers at the centre and here.
    pairs: Vec<(JobId, JobId)>,
    /// Those that are no longer there at the centre.
    gone: Vec<JobId>,
}

impl Admin {
    pub(super) async fn import_at_site(
        &self,
        authority: &Authority,
        manifest: Manifest,
        outline: Outline,
        (file, key): (&mut File, &FileKey),
    ) -> Result<ImportReport> {
        let store = &self.services.store;
        let name = manifest.domain.clone();
        if !self.services.registration.admits_codes() {
            return Err(AdminError::Conflict(
                "the directory of this broker is elsewhere; a site has one of its own: add directory to server.roles"
                    .into(),
            ));
        }
        let domain = self.services.tenants.find(&name).await?;
        let before = store.bundle_state(&name).await?;
        if domain.is_some() {
            same_origin(&manifest, &before)?;
        }
        let last = domain.as_ref().and(before.from.as_ref());
        match outcome(&manifest, last.map(|from| &from.taken))? {
            ImportOutcome::Imported => {}
            nothing => {
                authority.set_recorded();
                return Ok(ImportReport::new(manifest, nothing));
            }
        }
        self.check_room(domain.as_deref(), &outline)?;

        let mut state = before.clone();
        let from = Source {
            centre: manifest.centre.clone(),
            site: manifest.site.clone(),
            taken: begun(&manifest, store.now().await?),
            jobs: last.map(|from| from.jobs.clone()).unwrap_or_default(),
            results: last.map_or(0, |from| from.results),
        };
        state.from = Some(from);
        self.keep_state(&name, &mut state).await?;
        let mut added = Added::default();
        let mut report = ImportReport::new(manifest, ImportOutcome::Imported);
        let mut records = Records::new(file, key)?;
        let jobs = match self.apply(&name, &outline, &state, (&mut records, &mut added), &mut report).await {
            Ok(jobs) => jobs,
            Err(error) => {
                self.changed(&name).await;
                return Err(self.take_back(&name, before, state, added, error).await);
            }
        };
        if let Some(from) = &mut state.from {
            (from.taken.whole, from.jobs) = (true, jobs);
        }
        self.keep_state(&name, &mut state).await?;
        self.record(authority, "bundle.import", report.manifest.site.as_str(), Some(&name)).await;
        self.changed(&name).await;
        Ok(report)
    }

    /// Whether the quotas have room for all of it.
    fn check_room(&self, domain: Option<&Domain>, outline: &Outline) -> Result<()> {
        let quotas = &self.services.quotas;
        let is_new = |name: &str| domain.is_none_or(|domain| category_named(domain, name).is_none());
        let have = domain.map_or(0, |domain| domain.categories.len() as u64);
        let new = outline.categories.iter().filter(|category| is_new(&category.name)).count() as u64;
        quotas.check(QuotaKind::Categories, have, new)?;
        quotas.check(QuotaKind::Jobs, 0, outline.jobs.len() as u64)?;
        quotas.check(QuotaKind::CodesPerDay, 0, outline.codes)?;
        let most = self.services.registration.max_open_rollout();
        if outline.codes > most {
            let why = format!(
                "the bundle has {} codes, and a domain here may have {most}; raise codes.max_open_rollout",
                outline.codes
            );
            return Err(AdminError::Conflict(why));
        }
        Ok(())
    }

    async fn apply(
        &self,
        name: &DomainName,
        outline: &Outline,
        state: &BundleState,
        (records, added): (&mut Records<'_>, &mut Added),
        report: &mut ImportReport,
    ) -> Result<Vec<(JobId, JobId)>> {
        let store = &self.services.store;
        let settings = outline.settings.as_ref().ok_or(AdminError::NotFound("domain"))?;
        added.domain = self.make_domain(name, settings, outline).await?;
        let domain = self.put_categories(name, outline).await?;
        if let Some(builds) = &outline.builds {
            store.set_builds(name, builds).await?;
        }
        let jobs = self.put_jobs(&domain, outline, state, added).await?;
        let mut open = Vec::new();
        loop {
            let page = records.page(PAGE, |record| match record {
                Record::Code(code) => Some(code),
                _ => None,
            })?;
            if page.is_empty() {
                break;
            }
            self.put_codes(&domain, page, (added, &mut open), report).await?;
        }
        // The directory last: until here no phone has found a code.
        let now = store.now().await?;
        let registration = &self.services.registration;
        let mut listed = stream::iter(open)
            .map(|(code, until): (Code, UnixMillis)| {
                registration.list(code, Duration::from_millis(until.0.saturating_sub(now.0)))
            })
            .buffer_unordered(CONCURRENT);
        while let Some(one) = listed.next().await {
            one?;
        }
        for gone in &jobs.gone {
            store.remove_job(name, *gone).await?;
        }
        report.codes = added.codes.len() as u64;
        Ok(jobs.pairs)
    }

    /// True if the domain was made.
    async fn make_domain(&self, name: &DomainName, settings: &Settings, outline: &Outline) -> Result<bool> {
        let Settings { password, admin_password, auto_token } = settings.clone();
        let categories = outline.categories.iter().map(|category| (category.name.clone(), category.provisioning));
        let new = NewDomain {
            name: name.clone(),
            password: password.clone(),
            admin_password: admin_password.clone(),
            auto_token: auto_token.clone(),
            categories: categories.collect(),
        };
        if self.services.store.create_domain(&new).await?.is_some() {
            self.changed(name).await;
            return Ok(true);
        }
        let there = self.services.store.domain(name).await?.ok_or(AdminError::NotFound("domain"))?;
        let changed = |old: &Secret, new: Secret| (*old != new).then_some(new);
        let change = DomainChange {
            password: changed(&there.password, password),
            admin_password: changed(&there.admin_password, admin_password),
            auto_token: changed(&there.auto_token, auto_token),
            ..DomainChange::default()
        };
        self.services.store.change_domain(name, &change).await?;
        Ok(false)
    }

    /// The domain with all categories of the bundle.
    async fn put_categories(&self, name: &DomainName, outline: &Outline) -> Result<Arc<Domain>> {
        let store = &self.services.store;
        let there = store.domain(name).await?.ok_or(AdminError::NotFound("domain"))?;
        for category in &outline.categories {
            let known = category_named(&there, &category.name);
            if known.is_some_and(|known| known.provisioning == category.provisioning) {
                continue;
            }
            let id = known.map(|known| known.id);
            match store.put_category(name, id, &category.name, category.provisioning).await? {
                PutCategory::Kept(_) => {}
                PutCategory::NameTaken | PutCategory::Unknown => {
                    return Err(AdminError::Conflict("the domain is being changed by others too; try again".into()));
                }
            }
        }
        Ok(Arc::new(store.domain(name).await?.ok_or(AdminError::NotFound("domain"))?))
    }

    /// Makes the jobs that are not there yet. A job is the same if all of it is.
    async fn put_jobs(
        &self,
        domain: &Domain,
        outline: &Outline,
        state: &BundleState,
        added: &mut Added,
    ) -> Result<Jobs> {
        let store = &self.services.store;
        let mut here: Vec<Job> = store.jobs(&domain.name).await?;
        let mut pairs = Vec::new();
        for job in &outline.jobs {
            let category = match &job.category {
                Some(name) => Some(category_named(domain, name).ok_or(AdminError::NotFound("category"))?.id),
                None => None,
            };
            let spec = JobSpec { category, desc: job.desc.clone(), task: job.task.clone() };
            let id = match here.iter().position(|here| here.order == spec) {
                Some(at) => here.remove(at).id,
                None => {
                    let made = store.add_job(&domain.name, &spec).await?.ok_or(AdminError::NotFound("category"))?;
                    added.jobs.push(made.id);
                    made.id
                }
            };
            pairs.push((job.id, id));
        }
        let came_before = state.from.iter().flat_map(|from| &from.jobs).map(|(_, here)| *here);
        let gone = came_before.filter(|id| !pairs.iter().any(|(_, here)| here == id)).collect();
        Ok(Jobs { pairs, gone })
    }

    async fn put_codes(
        &self,
        domain: &Domain,
        page: Vec<CarriedCode>,
        (added, open): (&mut Added, &mut Vec<(Code, UnixMillis)>),
        report: &mut ImportReport,
    ) -> Result<()> {
        let now = self.services.store.now().await?;
        let mut records = Vec::with_capacity(page.len());
        for code in page {
            let Some(category) = category_named(domain, &code.category) else { continue };
            if code.valid_until <= now {
                report.leave_out(format!("a code of {} is over", code.sip.as_deref().unwrap_or("nobody")));
                continue;
            }
            records.push(CodeRecord {
                code: code.code,
                domain: domain.name.clone(),
                category: category.id,
                sip: code.sip,
                requester: code.requester,
                holder: None,
                rollout: code.rollout,
                administrative: code.administrative,
                valid_until: code.valid_until,
            });
        }
        let registration = &self.services.registration;
        let mut done = stream::iter(records)
            .map(|record| async move { (record.code, record.valid_until, registration.admit(&record).await) })
            .buffer_unordered(CONCURRENT);
        let mut failed: Option<NoCode> = None;
        while let Some((code, until, admitted)) = done.next().await {
            match admitted {
                Ok(Admitted::New) => {
                    added.codes.push(code);
                    open.push((code, until));
                }
                Ok(Admitted::Open) => open.push((code, until)),
                Ok(Admitted::Over) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Takes back what a refused import has added. If the store does not answer, it stays: the import can be repeated.
    async fn take_back(
        &self,
        name: &DomainName,
        before: BundleState,
        mut now: BundleState,
        added: Added,
        why: AdminError,
    ) -> AdminError {
        if matches!(why, AdminError::Unavailable(_)) {
            return AdminError::Unavailable(format!("{why}; the import is not complete: import the same file again"));
        }
        let back = async {
            let store = &self.services.store;
            for code in added.codes {
                self.services.registration.revoke(name, code).await?;
            }
            for job in added.jobs {
                store.remove_job(name, job).await?;
            }
            if added.domain {
                store.delete_domain(name).await?;
                self.changed(name).await;
                return Ok(());
            }
            now.from = before.from;
            self.keep_state(name, &mut now).await
        };
        match back.await {
            Ok(()) => why,
            Err(error) => {
                let error: AdminError = error;
                AdminError::Unavailable(format!("{why}; and it was not taken back ({error}): import the file again"))
            }
        }
    }
}

/// Refuses a domain that is here already and comes from somewhere else.
fn same_origin(manifest: &Manifest, state: &BundleState) -> Result<()> {
    let why = match &state.from {
        Some(from) if from.centre == manifest.centre && from.site == manifest.site => return Ok(()),
        Some(from) if from.centre == manifest.centre => {
            format!("the bundle is for the site {}, and here is {}; carry it there", manifest.site, from.site)
        }
        Some(_) => format!("the domain {} comes from another centre; delete it here, or use that one", manifest.domain),
        None => format!(
            "the domain {} exists here and comes from no centre; delete it here (also in the configuration) first",
            manifest.domain
        ),
    };
    Err(AdminError::Conflict(why))
}
