//! Jobs and build lists in the file. A job may contain passwords, so all of it is sealed.

use async_trait::async_trait;

use super::kv::{Outcome, Tx};
use super::rows::{DomainRow, next};
use super::{Embedded, keys};
use crate::core::model::ids::{ConfigId, DomainName, JobId};
use crate::core::model::quota::{QuotaKind, Quotas};
use crate::core::policy::jobs::builds::BuildList;
use crate::core::policy::jobs::device_config::{self, numbered};
use crate::core::policy::jobs::{Job, JobSpec};
use crate::store::record::{Sealed, open_job, seal_job};
use crate::store::seal::Sealer;
use crate::store::{Jobs, Result, StoreError};

#[async_trait]
impl Jobs for Embedded {
    async fn add_job(&self, domain: &DomainName, order: &JobSpec) -> Result<Option<Job>> {
        let (domain, order, sealer, quotas) = (domain.clone(), order.clone(), self.sealer.clone(), self.limits.quotas);
        self.kv.write(move |tx| add(tx, &sealer, &domain, order, &quotas)).await
    }

    async fn jobs(&self, domain: &DomainName) -> Result<Vec<Job>> {
        let sealed = self.kv.read(|snapshot| snapshot.with_prefix(&keys::jobs(domain)))?;
        open_all(&self.sealer, domain, sealed)
    }

    async fn remove_job(&self, domain: &DomainName, id: JobId) -> Result<bool> {
        let domain = domain.clone();
        self.kv.write(move |tx| remove(tx, &domain, id)).await
    }

    async fn set_builds(&self, domain: &DomainName, builds: &BuildList) -> Result<bool> {
        let (domain, builds) = (domain.clone(), builds.clone());
        let set = self.kv.write(move |tx| {
            let known = tx.has(&keys::domain(&domain))?;
            if known {
                tx.put(&keys::builds(&domain), &builds, None)?;
            }
            Ok(known)
        });
        set.await
    }

    async fn builds(&self, domain: &DomainName) -> Result<Option<BuildList>> {
        self.kv.read(|snapshot| snapshot.get(&keys::builds(domain)))
    }
}

fn add(tx: &mut Tx<'_>, sealer: &Sealer, domain: &DomainName, order: JobSpec, quotas: &Quotas) -> Outcome<Option<Job>> {
    let key = keys::domain(domain);
    let Some(mut row) = tx.get::<DomainRow>(&key)? else { return Ok(None) };
    if order.category.is_some_and(|id| !row.categories.iter().any(|category| category.id == id)) {
        return Ok(None);
    }
    let have = tx.with_prefix::<serde::de::IgnoredAny>(&keys::jobs(domain))?.len() as u64;
    quotas.check(QuotaKind::Jobs, have, 1).map_err(StoreError::from)?;
    if !tx.has(keys::SEQ_CONFIG)? {
        // Old jobs have their own numbers as those of their configurations.
        let jobs = tx.get::<u64>(keys::SEQ_JOB)?.unwrap_or(0);
        tx.put(keys::SEQ_CONFIG, &jobs, None)?;
    }
    let config = match numbered(&order) {
        Some(kind) => {
            let jobs = open_all(sealer, domain, tx.with_prefix(&keys::jobs(domain))?)?;
            Some(match device_config::number(&jobs, kind, order.category) {
                Some(number) => number,
                None => ConfigId(next(tx, keys::SEQ_CONFIG)?),
            })
        }
        None => None,
    };
    let job = Job { id: JobId(next(tx, keys::SEQ_JOB)?), created: tx.now, order, config };
    let place = keys::job(domain, job.id);
    tx.put(&place, &Sealed(seal_job(sealer, &keys::jobs(domain), &job)), None)?;
    row.revision += 1;
    tx.put(&key, &row, None)?;
    Ok(Some(job))
}

fn remove(tx: &mut Tx<'_>, domain: &DomainName, id: JobId) -> Outcome<bool> {
    let (key, place) = (keys::domain(domain), keys::job(domain, id));
    let Some(mut row) = tx.get::<DomainRow>(&key)? else { return Ok(false) };
    let there = tx.has(&place)?;
    if there {
        tx.remove(&place)?;
        row.revision += 1;
        tx.put(&key, &row, None)?;
    }
    Ok(there)
}

/// The jobs in these rows, oldest first.
pub(super) fn open_all(sealer: &Sealer, domain: &DomainName, rows: Vec<(String, Sealed)>) -> Result<Vec<Job>> {
    let place = keys::jobs(domain);
    let opened = rows.into_iter().map(|(id, bytes)| open_job(sealer, &place, &id, &bytes.0));
    let mut jobs = opened.collect::<Result<Vec<Job>>>()?;
    jobs.sort_by_key(|job| job.id);
    Ok(jobs)
}
