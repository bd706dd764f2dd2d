//! Jobs and build lists on Redis. A job may contain passwords, so all of it is sealed.

use std::collections::HashMap;

use ::redis::cmd;
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, script};
use crate::core::model::ids::{ConfigId, DomainName, JobId};
use crate::core::model::quota::QuotaKind;
use crate::core::policy::jobs::builds::BuildList;
use crate::core::policy::jobs::device_config::{self, numbered};
use crate::core::policy::jobs::{Job, JobSpec};
use crate::store::record::{from_json, open_job, seal_job, to_json};
use crate::store::{Jobs, Result, StoreError};

/// Attempts to keep a job while others change the domain, too.
const TRIES: usize = 20;

static ADD: LazyScript = script!("job_add");
static REMOVE: LazyScript = script!("job_remove");
static SET_BUILDS: LazyScript = script!("builds_set");

#[async_trait]
impl Jobs for Redis {
    async fn add_job(&self, domain: &DomainName, order: &JobSpec) -> Result<Option<Job>> {
        self.client.timed(self.add_job_whole(domain, order)).await
    }

    async fn jobs(&self, domain: &DomainName) -> Result<Vec<Job>> {
        self.client.timed(self.read_jobs(domain)).await
    }

    async fn remove_job(&self, domain: &DomainName, id: JobId) -> Result<bool> {
        let mut script = REMOVE.key(keys::domain(domain));
        script.key(keys::jobs(domain)).arg(id.0);
        self.client.timed(self.client.eval_once(&script)).await
    }

    async fn set_builds(&self, domain: &DomainName, builds: &BuildList) -> Result<bool> {
        let mut script = SET_BUILDS.key(keys::domain(domain));
        script.key(keys::builds(domain)).arg(to_json(builds));
        self.client.timed(self.client.eval(&script)).await
    }

    async fn builds(&self, domain: &DomainName) -> Result<Option<BuildList>> {
        let place = keys::builds(domain);
        let json: Option<Vec<u8>> = self.client.timed(self.client.ask(cmd("GET").arg(&place))).await?;
        json.map(|json| from_json(&place, &json)).transpose()
    }
}

impl Redis {
    async fn add_job_whole(&self, domain: &DomainName, order: &JobSpec) -> Result<Option<Job>> {
        let id: u64 = self.client.ask(cmd("INCR").arg(keys::SEQ_JOB)).await?;
        // Old jobs have their own numbers as those of their configurations.
        self.client.ask::<()>(cmd("SETNX").arg(keys::SEQ_CONFIG).arg(id - 1)).await?;
        let created = self.server_time().await?;
        let mut new_number = None;
        for _ in 0..TRIES {
            let (config, revision) = match numbered(order) {
                Some(kind) => {
                    let Some(known) = self.read_domain(domain).await? else { return Ok(None) };
                    let same = device_config::number(&self.read_jobs(domain).await?, kind, order.category);
                    let number = match same.or(new_number) {
                        Some(number) => number,
                        None => ConfigId(self.client.ask(cmd("INCR").arg(keys::SEQ_CONFIG)).await?),
                    };
                    if same.is_none() {
                        new_number = Some(number);
                    }
                    (Some(number), known.revision.to_string())
                }
                None => (None, String::new()),
            };
            let job = Job { id: JobId(id), created, order: order.clone(), config };
            match self.put_job(domain, &job, &revision).await? {
                1 => return Ok(Some(job)),
                -1 => return Err(self.limits.quotas.over(QuotaKind::Jobs).into()),
                // Another job may have got a number for the same configuration.
                -2 => {}
                _ => return Ok(None),
            }
        }
        Err(StoreError::Unavailable("the domain is being changed by others too".into()))
    }

    /// Keeps a job, unless the domain has another revision than this (empty: any).
    async fn put_job(&self, domain: &DomainName, job: &Job, revision: &str) -> Result<i8> {
        let place = keys::jobs(domain);
        let sealed = seal_job(&self.sealer, &place, job);
        let mut script = ADD.key(keys::domain(domain));
        script.key(&place).arg(job.id.0).arg(sealed);
        script.arg(job.order.category.map_or_else(String::new, |id| id.0.to_string()));
        script.arg(self.limits.quotas.jobs).arg(revision);
        self.client.eval(&script).await
    }

    pub(super) async fn read_jobs(&self, domain: &DomainName) -> Result<Vec<Job>> {
        let place = keys::jobs(domain);
        let sealed: HashMap<String, Vec<u8>> = self.client.ask(cmd("HGETALL").arg(&place)).await?;
        let mut jobs =
            sealed.iter().map(|(id, bytes)| open_job(&self.sealer, &place, id, bytes)).collect::<Result<Vec<Job>>>()?;
        jobs.sort_by_key(|job| job.id);
        Ok(jobs)
    }
}
