//! Export for a site: the codes are lent, and then the bundle is written.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::results::Results;
use super::{BundleKey, CONCURRENT, CodeChoice, PAGE, SiteBundle, category_name, manifest};
use crate::admin::codes::{CodeFilter, category, operator};
use crate::admin::{Admin, AdminError, Authority, Result};
use crate::core::model::bundle::SiteName;
use crate::core::model::device::{CodeState, Domain, IssuedCode};
use crate::core::model::ids::{Code, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::policy::bundle::{CODES_MAX, CarriedCategory, CarriedCode, CarriedJob, Check, Record, Settings};
use crate::core::policy::jobs::{Job, Task};
use crate::core::protocol::bundle::{Kind, Writer};
use crate::registration::CodeRequest;

/// A bundle without codes is imported for this long.
const WITHOUT_CODES: Duration = Duration::from_secs(7 * 24 * 3600);

/// A bundle that is being written.
pub struct ExportRun {
    writer: Option<Writer>,
    source: Source,
    seen: u64,
}

enum Source {
    Ready(std::vec::IntoIter<Record>),
    Results(Box<Results>),
}

impl ExportRun {
    /// The next bytes of the file; `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(writer) = &mut self.writer else { return Ok(None) };
        let records: Vec<Record> = match &mut self.source {
            Source::Ready(records) => records.by_ref().take(PAGE).collect(),
            Source::Results(results) => results.next().await?,
        };
        for record in &records {
            add(writer, record)?;
        }
        self.seen += records.len() as u64;
        if !records.is_empty() {
            return Ok(Some(writer.take()));
        }
        add(writer, &Record::End(self.seen))?;
        Ok(self.writer.take().map(Writer::finish))
    }
}

fn add(writer: &mut Writer, record: &Record) -> Result<()> {
    if writer.add(&record.write()) {
        Ok(())
    } else {
        Err(AdminError::Conflict("a job is too large for a bundle".into()))
    }
}

impl Admin {
    /// Exports the results of this site for the centre that the domain comes from.
    pub async fn export_results(&self, authority: &Authority, named: &str, key: &BundleKey) -> Result<ExportRun> {
        let (manifest, results) = self.begin_results(authority, named, &key.lock).await?;
        let writer = Writer::new(&manifest, &key.key);
        Ok(ExportRun { writer: Some(writer), source: Source::Results(Box::new(results)), seen: 0 })
    }

    /// Makes a bundle for a site. Its codes are lent from now on, also if the file gets lost: the next bundle for the
    /// site has them again.
    pub async fn export_to_site(&self, authority: &Authority, named: &str, wanted: &SiteBundle) -> Result<ExportRun> {
        authority.instance_only()?;
        let domain = self.domain(authority, named).await?;
        let store = &self.services.store;
        let mut state = store.bundle_state(&domain.name).await?;
        if state.from.is_some() {
            let why = "the domain comes from another centre; only its results go out, with --results";
            return Err(AdminError::Conflict(why.into()));
        }
        let codes = self.codes_for(authority, &domain, wanted).await?;
        let now = store.now().await?;
        let (jobs, builds) = (store.jobs(&domain.name).await?, store.builds(&domain.name).await?);
        let mut records = settings_and_jobs(&domain, &codes, jobs, wanted)?;
        records.extend(builds.map(|mut builds| {
            if let Some(url) = &wanted.builds_url {
                builds.base_url.clone_from(url);
            }
            Record::Builds(builds)
        }));
        let ends = codes.iter().map(|code| code.valid_until).max();
        records.extend(codes.iter().filter_map(|code| carried(&domain, code)));
        check(&records)?;

        let loan = state.sites.entry(wanted.site.clone()).or_default();
        (loan.bundles, loan.made) = (loan.bundles + 1, now);
        let serial = loan.bundles;
        self.keep_state(&domain.name, &mut state).await?;
        // Whatever stops this, the lent ones are in the next bundle for this site.
        let lent = self.lend_all(authority, &domain, &codes, &wanted.site).await?;
        records.retain(|record| !matches!(record, Record::Code(code) if !lent.contains(&code.code)));
        self.record(authority, "bundle.export", wanted.site.as_str(), Some(&domain.name)).await;
        let centre = store.instance_mark();
        let until = ends.unwrap_or(now + WITHOUT_CODES);
        let whom = (&*centre, &wanted.site, &domain.name);
        let manifest = manifest((Kind::Site, serial), whom, (now, until), &wanted.key.lock);
        let writer = Writer::new(&manifest, &wanted.key.key);
        Ok(ExportRun { writer: Some(writer), source: Source::Ready(records.into_iter()), seen: 0 })
    }

    /// The codes for a site: those that are lent to it and not over, and the chosen ones.
    async fn codes_for(
        &self,
        authority: &Authority,
        domain: &Arc<Domain>,
        wanted: &SiteBundle,
    ) -> Result<Vec<IssuedCode>> {
        let now = self.services.store.now().await?;
        let mut chosen = HashSet::new();
        let of = match &wanted.codes {
            CodeChoice::Category(named) => Some(category(domain, named)?.id),
            CodeChoice::Rollout(id) => {
                chosen = self.codes_of(authority, domain, *id).await?;
                None
            }
            CodeChoice::None | CodeChoice::New(..) => None,
        };
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let (page, next) = self.codes(authority, domain, before, PAGE, CodeFilter::All).await?;
            let codes = page.into_iter().map(|listing| listing.code).filter(|code| code.valid_until > now);
            found.extend(codes.filter(|code| match &code.state {
                CodeState::Lent { site } => *site == wanted.site,
                CodeState::Open => of == Some(code.category) || chosen.contains(&code.code),
                CodeState::Used { .. } => false,
            }));
            within(found.len() as u64)?;
            match next {
                Some(next) => before = Some(next),
                None => break,
            }
        }
        if let CodeChoice::New(count, named) = &wanted.codes {
            within(found.len() as u64 + count)?;
            found.extend(self.new_codes(authority, domain, named, *count).await?);
        }
        Ok(found)
    }

    async fn codes_of(&self, authority: &Authority, domain: &Domain, id: RolloutId) -> Result<HashSet<Code>> {
        let (mut codes, mut from) = (HashSet::new(), 0);
        loop {
            let rows = self.rollout_rows(authority, domain, id, from, PAGE).await?;
            from += rows.len() as u64;
            let last = rows.len() < PAGE;
            codes.extend(rows.into_iter().map(|(row, _)| row.code));
            if last {
                return Ok(codes);
            }
        }
    }

    /// Issues codes of long validity.
    async fn new_codes(
        &self,
        authority: &Authority,
        domain: &Arc<Domain>,
        named: &str,
        count: u64,
    ) -> Result<Vec<IssuedCode>> {
        let category = category(domain, named)?.id;
        let request = CodeRequest {
            domain,
            category,
            sip: None,
            requester: operator(),
            holder: None,
            rollout: true,
            administrative: true,
        };
        let request = &request;
        let made = stream::iter(0..count).map(|_| self.services.registration.issue_code(request));
        let made: Vec<_> = made.buffer_unordered(CONCURRENT).collect().await;
        self.record(authority, "code.issue", &count.to_string(), Some(&domain.name)).await;
        let code = |new: crate::registration::NewCode| IssuedCode {
            code: new.code,
            domain: domain.name.clone(),
            category,
            sip: None,
            requester: operator(),
            holder: None,
            rollout: true,
            administrative: true,
            valid_until: new.valid_until,
            state: CodeState::Open,
        };
        // Those that were issued before a failure end with their validity, or can be revoked.
        made.into_iter().map(|made| made.map(code).map_err(AdminError::from)).collect()
    }

    async fn lend_all(
        &self,
        authority: &Authority,
        domain: &Domain,
        codes: &[IssuedCode],
        site: &SiteName,
    ) -> Result<HashSet<Code>> {
        let mut lent = HashSet::new();
        for page in codes.chunks(PAGE) {
            self.still(authority, domain)?;
            let registration = &self.services.registration;
            let mut done = stream::iter(page)
                .map(|code| async {
                    registration.lend(&domain.name, code.code, site).await.map(|yes| (code.code, yes))
                })
                .buffer_unordered(CONCURRENT);
            while let Some(one) = done.next().await {
                let (code, yes) = one?;
                // One that was just used stays here.
                if yes {
                    lent.insert(code);
                }
            }
        }
        Ok(lent)
    }
}

/// The records in front of the codes.
fn settings_and_jobs(
    domain: &Domain,
    codes: &[IssuedCode],
    jobs: Vec<Job>,
    wanted: &SiteBundle,
) -> Result<Vec<Record>> {
    let mut records = vec![Record::Domain(Settings {
        password: domain.password.clone(),
        admin_password: domain.admin_password.clone(),
        auto_token: domain.auto_token.clone(),
    })];
    let of_codes: HashSet<_> = codes.iter().map(|code| code.category).collect();
    let goes = |id| of_codes.contains(&id) || domain.categories.iter().any(|c| c.id == id && c.provisioning);
    let categories = domain.categories.iter().filter(|category| goes(category.id));
    records.extend(categories.map(|category| {
        Record::Category(CarriedCategory { name: category.name.clone(), provisioning: category.provisioning })
    }));
    for job in jobs.into_iter().filter(|job| job.order.category.is_none_or(goes)) {
        let mut task = job.order.task;
        if let (Task::Update(update), Some(url)) = (&mut task, &wanted.builds_url) {
            let mut builds = (*update.builds).clone();
            builds.base_url.clone_from(url);
            builds
                .check()
                .map_err(|_| AdminError::invalid("buildsUrl", "must be an address of files, with / at its end"))?;
            update.builds = Arc::new(builds);
        }
        let category = job.order.category.and_then(|id| category_name(domain, id)).map(Into::into);
        records.push(Record::Job(CarriedJob { id: job.id, category, desc: job.order.desc, task }));
    }
    Ok(records)
}

fn within(codes: u64) -> Result<()> {
    if codes > CODES_MAX {
        return Err(AdminError::Conflict(format!(
            "a bundle has at most {CODES_MAX} codes; choose fewer for this site"
        )));
    }
    Ok(())
}

fn carried(domain: &Domain, code: &IssuedCode) -> Option<Record> {
    Some(Record::Code(CarriedCode {
        code: code.code,
        category: category_name(domain, code.category)?.into(),
        sip: code.sip.clone(),
        requester: code.requester.clone(),
        rollout: code.rollout,
        administrative: code.administrative,
        valid_until: UnixMillis(code.valid_until.0),
    }))
}

/// Whether a site would accept these records.
fn check(records: &[Record]) -> Result<()> {
    let mut check = Check::new(Kind::Site);
    for record in records {
        check.see(&record.write()).map_err(|why| AdminError::Conflict(format!("no bundle can be made: {why}")))?;
    }
    Ok(())
}
