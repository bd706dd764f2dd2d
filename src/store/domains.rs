//! Domains and their categories. The jobs of a domain are in `jobs.rs`.

use super::Result;
use super::observed::store_trait;
use crate::core::model::device::{Category, Domain};
use crate::core::model::ids::{CategoryId, DomainName, Secret};

/// A domain to be created.
#[derive(Debug, Clone)]
pub struct NewDomain {
    /// Name.
    pub name: DomainName,
    /// Password for app connections.
    pub password: Secret,
    /// Administrative password; empty: none.
    pub admin_password: Secret,
    /// Token of automatic provisioning; empty: off.
    pub auto_token: Secret,
    /// Names of its categories, and whether each is marked for provisioning.
    pub categories: Vec<(Box<str>, bool)>,
}

/// A change of a domain's settings; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct DomainChange {
    /// Password for app connections.
    pub password: Option<Secret>,
    /// Administrative password; empty: none.
    pub admin_password: Option<Secret>,
    /// Token of automatic provisioning; empty: off.
    pub auto_token: Option<Secret>,
    /// Domains that have given this one access to their devices and codes.
    pub access_gained: Vec<DomainName>,
    /// Domains that have withdrawn this access.
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

/// Result of deleting a domain or a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is deleted, with everything that belongs to it.
    Gone,
    /// Devices, open codes or jobs belong to it; nothing has changed.
    InUse,
    /// There is none.
    Unknown,
}

/// Result of creating or changing a category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutCategory {
    /// It is kept.
    Kept(Category),
    /// Another category of the domain has this name.
    NameTaken,
    /// There is no such domain or category.
    Unknown,
}

store_trait! {
    /// Domains and their categories. Every change of a domain, its categories or its jobs changes [`Domain::revision`].
    pub trait Domains: Send + Sync {
        /// Creates the domain if it is missing, and those of its categories that are missing. Existing ones stay as
        /// they are. Several nodes may call it at the same time.
        async fn ensure_domain(&self, new: &NewDomain) -> Result<Domain> => EnsureDomain;

        /// One domain with its categories.
        async fn domain(&self, name: &DomainName) -> Result<Option<Domain>> => Domains;

        /// All domains with their categories, sorted by number.
        async fn domains(&self) -> Result<Vec<Domain>> => Domains;

        /// Creates a domain; `None` if there is one of this name.
        async fn create_domain(&self, new: &NewDomain) -> Result<Option<Domain>> => CreateDomain;

        /// Changes settings. False if there is no such domain.
        async fn change_domain(&self, domain: &DomainName, change: &DomainChange) -> Result<bool> => ChangeDomain;

        /// Deletes a domain that no device belongs to, with its codes, jobs, notices and roll-outs, and the access
        /// that it has given to others.
        async fn delete_domain(&self, domain: &DomainName) -> Result<Deleted> => DeleteDomain;

        /// Creates a category (`id` is `None`) or changes one.
        async fn put_category(
            &self,
            domain: &DomainName,
            id: Option<CategoryId>,
            name: &str,
            provisioning: bool,
        ) -> Result<PutCategory> => PutCategory;

        /// Deletes a category that no device, no open code and no job belongs to.
        async fn delete_category(&self, domain: &DomainName, id: CategoryId) -> Result<Deleted> => DeleteCategory;
    }
}
