//! Jobs in the file. A job may hold passwords, so all of it is sealed.

use super::domains::{DomainRow, next};
use super::keys;
use super::kv::{Outcome, Tx};
use crate::core::model::ids::{DomainName, JobId};
use crate::core::policy::jobs::{Job, JobSpec};
use crate::store::Result;
use crate::store::record::{Sealed, open_job, seal_job};
use crate::store::seal::Sealer;

pub(super) fn add(tx: &mut Tx<'_>, sealer: &Sealer, domain: &DomainName, order: JobSpec) -> Outcome<Option<Job>> {
    let key = keys::domain(domain);
    let Some(mut row) = tx.get::<DomainRow>(&key)? else { return Ok(None) };
    if order.category.is_some_and(|id| !row.categories.iter().any(|category| category.id == id)) {
        return Ok(None);
    }
    let job = Job { id: JobId(next(tx, keys::SEQ_JOB)?), created: tx.now, order };
    let place = keys::job(domain, job.id);
    tx.put(&place, &Sealed(seal_job(sealer, &keys::jobs(domain), &job)), None)?;
    row.revision += 1;
    tx.put(&key, &row, None)?;
    Ok(Some(job))
}

pub(super) fn remove(tx: &mut Tx<'_>, domain: &DomainName, id: JobId) -> Outcome<bool> {
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
