//! Jobs and build lists of a domain.

use std::sync::Arc;

use super::{Admin, AdminError, Authority, Result};
use crate::core::model::device::Domain;
use crate::core::model::ids::{CategoryId, JobId};
use crate::core::policy::jobs::builds::{BuildList, BuildsError};
use crate::core::policy::jobs::config::{ConfigError, Configuration};
use crate::core::policy::jobs::plan::{Preview, preview};
use crate::core::policy::jobs::{Hours, Job, JobSpec, OrderError, Task, Update};

impl From<BuildsError> for AdminError {
    fn from(error: BuildsError) -> Self {
        match error {
            BuildsError::Member { member, problem } => Self::invalid(member, problem),
            whole => Self::invalid("builds", whole.to_string()),
        }
    }
}

/// Converts the error where the build list is a member called `builds`.
fn within_builds(error: BuildsError) -> AdminError {
    match error.into() {
        AdminError::Invalid { field, why } if field != "builds" => AdminError::invalid(format!("builds.{field}"), why),
        other => other,
    }
}

impl From<ConfigError> for AdminError {
    fn from(ConfigError { field, problem }: ConfigError) -> Self {
        let field = if field == "values" { field } else { format!("values.{field}") };
        Self::invalid(field, problem.to_string())
    }
}

impl From<OrderError> for AdminError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Builds(error) => within_builds(error),
            OrderError::Hours(text) => {
                let (member, why) = text.split_once(": ").unwrap_or(("", text));
                Self::invalid(format!("hours.{member}"), why)
            }
            OrderError::Description => Self::invalid("desc", error.to_string().trim_start_matches("desc: ")),
            OrderError::Config(error) => error.into(),
        }
    }
}

/// An address without what may be secret in it.
fn plain_address(address: &str) -> String {
    let Ok(mut url) = url::Url::parse(address) else { return String::new() };
    // Fails for addresses that have no user.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

impl Admin {
    /// All jobs of a domain, oldest first, with their secrets.
    pub async fn jobs(&self, authority: &Authority, named: &str) -> Result<Vec<Job>> {
        let domain = self.domain(authority, named).await?;
        Ok(self.services.store.jobs(&domain.name).await?)
    }

    /// One job of a domain, with its secrets.
    pub async fn job(&self, authority: &Authority, named: &str, id: JobId) -> Result<Job> {
        let jobs = self.jobs(authority, named).await?;
        jobs.into_iter().find(|job| job.id == id).ok_or(AdminError::NotFound("job"))
    }

    /// Makes an update job. Without a build list it stores a copy of the domain's current one.
    pub async fn create_update_job(
        &self,
        authority: &Authority,
        named: &str,
        category: Option<CategoryId>,
        builds: Option<BuildList>,
        hours: Hours,
    ) -> Result<Job> {
        let domain = self.own(authority, named).await?;
        let builds = match builds {
            Some(builds) => builds,
            None => self.services.store.builds(&domain.name).await?.ok_or_else(|| {
                AdminError::Conflict("the domain has no build list; set one, or send one with the job".into())
            })?,
        };
        let spec = JobSpec { category, desc: None, task: Task::Update(Update { builds: Arc::new(builds), hours }) };
        self.add_job(authority, &domain, spec).await
    }

    /// Makes a configuration job, with a description for people.
    pub async fn create_config_job(
        &self,
        authority: &Authority,
        named: &str,
        category: Option<CategoryId>,
        desc: Option<Box<str>>,
        configuration: Configuration,
    ) -> Result<Job> {
        let domain = self.own(authority, named).await?;
        self.add_job(authority, &domain, JobSpec { category, desc, task: Task::Config(configuration) }).await
    }

    async fn add_job(&self, authority: &Authority, domain: &Domain, order: JobSpec) -> Result<Job> {
        order.check()?;
        // The domain existed a moment ago, so the category is missing.
        let job = self.services.store.add_job(&domain.name, &order).await?;
        let job = job.ok_or_else(|| AdminError::unfit("category", "is no category of the domain"))?;
        let kind = match &job.order.task {
            Task::Update(_) => "update",
            Task::Config(configuration) => configuration.kind.name(),
        };
        self.record(authority, "job.make", &format!("{kind} {}", job.id.0), Some(&domain.name)).await;
        self.changed(&domain.name).await;
        Ok(job)
    }

    /// What the jobs would send to a device, regardless of what it has already. Nothing is sent.
    pub async fn dry_run(&self, authority: &Authority, named: &str, hw_id: &str) -> Result<Preview> {
        let domain = self.domain(authority, named).await?;
        let device = self.listing(&domain.name, hw_id).await?.device;
        Ok(preview(&device, &domain, &self.services.store.jobs(&domain.name).await?))
    }

    /// Deletes a job; the job before it applies again.
    pub async fn delete_job(&self, authority: &Authority, named: &str, id: JobId) -> Result<()> {
        let domain = self.own(authority, named).await?;
        if !self.services.store.remove_job(&domain.name, id).await? {
            return Err(AdminError::NotFound("job"));
        }
        self.record(authority, "job.delete", &id.0.to_string(), Some(&domain.name)).await;
        self.changed(&domain.name).await;
        Ok(())
    }

    /// The current build list of a domain.
    pub async fn builds(&self, authority: &Authority, named: &str) -> Result<BuildList> {
        let domain = self.domain(authority, named).await?;
        self.services.store.builds(&domain.name).await?.ok_or(AdminError::NotFound("build list"))
    }

    /// Sets the build list. Existing jobs keep their copy.
    pub async fn set_builds(&self, authority: &Authority, named: &str, builds: &BuildList) -> Result<()> {
        let domain = self.own(authority, named).await?;
        builds.check()?;
        if !self.services.store.set_builds(&domain.name, builds).await? {
            return Err(AdminError::NotFound("domain"));
        }
        self.record(authority, "builds.set", &plain_address(&builds.base_url), Some(&domain.name)).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_address_in_the_audit_log_has_no_secret() {
        let plain = super::plain_address("https://user:secret@files.example:8443/fw/?key=1#x");
        assert_eq!(plain, "https://files.example:8443/fw/");
        assert_eq!(super::plain_address("secret"), "");
    }
}
