//! [`super::Observed`] for `tenancy.rs`.

use async_trait::async_trait;

use super::{Observed, timed};
use crate::core::model::device::Domain;
use crate::core::model::ids::{CategoryId, DomainName, JobId};
use crate::core::policy::jobs::builds::BuildList;
use crate::core::policy::jobs::{Job, JobSpec};
use crate::metrics::StoreOp;
use crate::store::{Deleted, DomainChange, NewDomain, PutCategory, Result, Store, Tenancy};

#[async_trait]
impl<S: Store> Tenancy for Observed<S> {
    async fn create_domain(&self, new: &NewDomain) -> Result<Option<Domain>> {
        timed(StoreOp::CreateDomain, self.0.create_domain(new)).await
    }

    async fn change_domain(&self, domain: &DomainName, change: &DomainChange) -> Result<bool> {
        timed(StoreOp::ChangeDomain, self.0.change_domain(domain, change)).await
    }

    async fn delete_domain(&self, domain: &DomainName) -> Result<Deleted> {
        timed(StoreOp::DeleteDomain, self.0.delete_domain(domain)).await
    }

    async fn put_category(
        &self,
        domain: &DomainName,
        id: Option<CategoryId>,
        name: &str,
        provisioning: bool,
    ) -> Result<PutCategory> {
        timed(StoreOp::PutCategory, self.0.put_category(domain, id, name, provisioning)).await
    }

    async fn delete_category(&self, domain: &DomainName, id: CategoryId) -> Result<Deleted> {
        timed(StoreOp::DeleteCategory, self.0.delete_category(domain, id)).await
    }

    async fn add_job(&self, domain: &DomainName, order: &JobSpec) -> Result<Option<Job>> {
        timed(StoreOp::AddJob, self.0.add_job(domain, order)).await
    }

    async fn jobs(&self, domain: &DomainName) -> Result<Vec<Job>> {
        timed(StoreOp::Jobs, self.0.jobs(domain)).await
    }

    async fn remove_job(&self, domain: &DomainName, id: JobId) -> Result<bool> {
        timed(StoreOp::RemoveJob, self.0.remove_job(domain, id)).await
    }

    async fn set_builds(&self, domain: &DomainName, builds: &BuildList) -> Result<bool> {
        timed(StoreOp::SetBuilds, self.0.set_builds(domain, builds)).await
    }

    async fn builds(&self, domain: &DomainName) -> Result<Option<BuildList>> {
        timed(StoreOp::Builds, self.0.builds(domain)).await
    }
}
