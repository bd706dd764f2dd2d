//! The jobs of a domain (updates and configurations), and its build list.

use super::Result;
use super::observed::store_trait;
use crate::core::model::ids::{DomainName, JobId};
use crate::core::policy::jobs::builds::BuildList;
use crate::core::policy::jobs::{Job, JobSpec};

store_trait! {
    /// Jobs and build lists. Adding or removing a job changes the revision of the domain.
    pub trait Jobs: Send + Sync {
        /// Creates a job. `None` if there is no such domain or category.
        async fn add_job(&self, domain: &DomainName, order: &JobSpec) -> Result<Option<Job>> => AddJob;

        /// All jobs of a domain, oldest first.
        async fn jobs(&self, domain: &DomainName) -> Result<Vec<Job>> => Jobs;

        /// Deletes a job; the one before it is in force again. False if there is no such job.
        async fn remove_job(&self, domain: &DomainName, id: JobId) -> Result<bool> => RemoveJob;

        /// Replaces the current build list of a domain. False if there is no such domain.
        async fn set_builds(&self, domain: &DomainName, builds: &BuildList) -> Result<bool> => SetBuilds;

        /// The current build list of a domain.
        async fn builds(&self, domain: &DomainName) -> Result<Option<BuildList>> => Builds;
    }
}
