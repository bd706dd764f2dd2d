//! Domains, their categories and their jobs, as operators change them.

use async_trait::async_trait;

use super::{NewDomain, Result};
use crate::core::model::device::{Category, Domain};
use crate::core::model::ids::{CategoryId, DomainName, JobId, Secret};
use crate::core::policy::jobs::builds::BuildList;
use crate::core::policy::jobs::{Job, JobSpec};

/// A change of a domain's settings; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct DomainChange {
    /// Password for app connections.
    pub password: Option<Secret>,
    /// Administrative password; empty: none.
    pub admin_password: Option<Secret>,
    /// Token of automatic provisioning; empty: off.
    pub auto_token: Option<Secret>,
    /// Domains that have given this one access to their things.
    pub access_gained: Vec<DomainName>,
    /// Domains that have taken it back.
    pub access_lost: Vec<DomainName>,
}

impl DomainChange {
    /// Whether everything stays.
    pub const fn is_empty(&self) -> bool {
        self.password.is_none()
            && self.admin_password.is_none()
            && self.auto_token.is_none()
            && self.access_gained.is_empty()
            && self.access_lost.is_empty()
    }
}

/// What became of a domain or a category that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, with everything that belongs to it.
    Gone,
    /// Devices, open codes or jobs belong to it; nothing has changed.
    InUse,
    /// There is none.
    Unknown,
}

/// What became of a category that was to be made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutCategory {
    /// It is kept.
    Kept(Category),
    /// Another category of the domain has this name.
    NameTaken,
    /// There is no such domain or category.
    Unknown,
}

/// Domains as operators change them. Every change of a domain, its categories or its jobs changes [`Domain::revision`].
#[async_trait]
pub trait Tenancy: Send + Sync {
    /// Makes a domain; `None` if there is one of this name.
    async fn create_domain(&self, new: &NewDomain) -> Result<Option<Domain>>;

    /// Changes settings. False if there is no such domain.
    async fn change_domain(&self, domain: &DomainName, change: &DomainChange) -> Result<bool>;

    /// Deletes a domain that no device belongs to, with its codes, jobs, notices and roll-outs, and the access that it has
    /// given to others.
    async fn delete_domain(&self, domain: &DomainName) -> Result<Deleted>;

    /// Makes a category (`id` is `None`) or changes one.
    async fn put_category(
        &self,
        domain: &DomainName,
        id: Option<CategoryId>,
        name: &str,
        provisioning: bool,
    ) -> Result<PutCategory>;

    /// Deletes a category that no device, no open code and no job belongs to.
    async fn delete_category(&self, domain: &DomainName, id: CategoryId) -> Result<Deleted>;

    /// Makes a job. `None` if there is no such domain or category.
    async fn add_job(&self, domain: &DomainName, order: &JobSpec) -> Result<Option<Job>>;

    /// All jobs of a domain, oldest first.
    async fn jobs(&self, domain: &DomainName) -> Result<Vec<Job>>;

    /// Deletes a job; the one before it counts again. False if there is no such job.
    async fn remove_job(&self, domain: &DomainName, id: JobId) -> Result<bool>;

    /// Sets the current build list of a domain. False if there is no such domain.
    async fn set_builds(&self, domain: &DomainName, builds: &BuildList) -> Result<bool>;

    /// The current build list of a domain.
    async fn builds(&self, domain: &DomainName) -> Result<Option<BuildList>>;
}
