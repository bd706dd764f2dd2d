//! Bundles between a centre and sites that it never meets (`docs/offline.md`). Only with the instance password.
//!
//! The centre exports codes, jobs and settings of a domain to a site, and a site exports what has come of them. An import
//! reads the whole file and checks all of it before it changes anything.

mod export;
mod file;
mod import;
mod import_results;
mod import_site;
mod results;

use crate::core::model::bundle::{BundleState, SiteName};
use crate::core::model::device::{Category, Domain};
use crate::core::model::ids::{CategoryId, DomainName, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::policy::bundle::Unacceptable;
use crate::core::protocol::bundle::{Fault, FileKey, Kind, Lock, Manifest, VERSION};
use crate::random;

use super::{Admin, AdminError, Result};

pub use export::ExportRun;
pub use import::{ImportOutcome, ImportReport};

/// How many operations of one step run at once.
const CONCURRENT: usize = 100;

/// Records that are read from the store, or from a file, at a time.
const PAGE: usize = 500;

/// What a bundle is to be sealed with.
#[derive(Debug, Clone)]
pub struct BundleKey {
    /// How the key is made, for the manifest.
    pub lock: Lock,
    /// The key.
    pub key: FileKey,
}

/// Which codes go to a site, besides those that are lent to it already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeChoice {
    /// None.
    None,
    /// The open ones of a roll-out.
    Rollout(RolloutId),
    /// The open ones of a category.
    Category(String),
    /// So many new ones for a category.
    New(u64, String),
}

/// A bundle for a site that is to be made.
#[derive(Debug, Clone)]
pub struct SiteBundle {
    /// The site.
    pub site: SiteName,
    /// The codes that go with it.
    pub codes: CodeChoice,
    /// Where the devices of the site find the files of updates; `None`: as the jobs say.
    pub builds_url: Option<Box<str>>,
    /// What it is sealed with.
    pub key: BundleKey,
}

impl From<Fault> for AdminError {
    fn from(fault: Fault) -> Self {
        Self::invalid("bundle", fault.to_string())
    }
}

impl From<Unacceptable> for AdminError {
    fn from(why: Unacceptable) -> Self {
        Self::invalid("bundle", why.to_string())
    }
}

/// The name of a category.
fn category_name(domain: &Domain, id: CategoryId) -> Option<&str> {
    domain.categories.iter().find(|category| category.id == id).map(|category| &*category.name)
}

/// The category of this name.
fn category_named<'a>(domain: &'a Domain, name: &str) -> Option<&'a Category> {
    domain.categories.iter().find(|category| *category.name == *name)
}

impl Admin {
    /// Replaces what is remembered of bundles; refused if somebody else has changed it since it was read.
    async fn keep_state(&self, domain: &DomainName, state: &mut BundleState) -> Result<()> {
        if !self.services.store.keep_bundle_state(domain, state).await? {
            let why = "another bundle of this domain is being made or imported; try again when that is done";
            return Err(AdminError::Conflict(why.into()));
        }
        state.revision += 1;
        Ok(())
    }
}

/// A manifest with a new mark.
fn manifest(
    (kind, serial): (Kind, u64),
    (centre, site, domain): (&str, &SiteName, &DomainName),
    (created, expires): (UnixMillis, UnixMillis),
    lock: &Lock,
) -> Manifest {
    let mut id = [0; 16];
    random::fill(&mut id);
    tracing::info!(%domain, %site, serial, format = VERSION, "bundle made");
    Manifest {
        kind,
        id: crate::core::model::hex::encode(id).into(),
        centre: centre.into(),
        site: site.clone(),
        domain: domain.clone(),
        serial,
        created,
        expires,
        lock: lock.clone(),
    }
}
