//! Not yet.

use async_trait::async_trait;

use super::Embedded;
use crate::core::device::Domain;
use crate::core::ids::{CategoryId, DomainName, JobId};
use crate::core::jobs::builds::BuildList;
use crate::core::jobs::{Job, Order};
use crate::store::{Deleted, DomainChange, NewDomain, PutCategory, Result, Tenancy};

#[async_trait]
impl Tenancy for Embedded {
    async fn create_domain(&self, _new: &NewDomain) -> Result<Option<Domain>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn change_domain(&self, _domain: &DomainName, _change: &DomainChange) -> Result<bool> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn delete_domain(&self, _domain: &DomainName) -> Result<Deleted> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn put_category(
        &self,
        _domain: &DomainName,
        _id: Option<CategoryId>,
        _name: &str,
        _provisioning: bool,
    ) -> Result<PutCategory> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn delete_category(&self, _domain: &DomainName, _id: CategoryId) -> Result<Deleted> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn add_job(&self, _domain: &DomainName, _order: &Order) -> Result<Option<Job>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn jobs(&self, _domain: &DomainName) -> Result<Vec<Job>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn remove_job(&self, _domain: &DomainName, _id: JobId) -> Result<bool> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn set_builds(&self, _domain: &DomainName, _builds: &BuildList) -> Result<bool> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn builds(&self, _domain: &DomainName) -> Result<Option<BuildList>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }
}
