//! The operators' service: everything that operators can see and change, for the REST interface and the pages.
//!
//! Each call takes an [`Authority`], which limits what the caller can see; objects outside of it are reported as not
//! found. This module knows neither HTTP nor pages. The operations are described in `docs/operators.md`.

mod authority;
mod bundles;
mod categories;
mod codes;
mod devices;
mod domains;
mod error;
mod jobs;
mod outcomes;
mod overview;
mod rollouts;
mod services;
mod store_state;
mod timelines;
mod transfers;
pub mod user_csv;

use std::sync::Arc;

use crate::core::model::accounts::AuditEntry;
use crate::core::model::device::Domain;
use crate::core::model::ids::{DomainId, DomainName};
use crate::core::model::time::UnixMillis;
use crate::random;
use crate::store::Signal;
use crate::store::seal::Sealer;

pub use authority::{Authority, Token};
pub use bundles::{BundleKey, CodeChoice, ExportRun, ImportOutcome, ImportReport, SiteBundle};
pub use codes::{CodeFilter, OperatorCodeRequest};
pub use devices::{DeviceChange, Filter, MAX_NAME, MAX_PAGE, Page};
pub use error::AdminError;
pub use outcomes::{Outcome, What};
pub use overview::{Guessing, Overview, WholeInstance};
pub use rollouts::{Batch, MAX_USERS, NewRollout, RolloutRun, User};
pub use services::Services;
pub use timelines::TimelineReport;
pub use transfers::OfferListing;

/// Result of an operator's call.
pub type Result<T> = std::result::Result<T, AdminError>;

/// The operators' service of one node.
pub struct Admin {
    services: Arc<Services>,
    sealer: Sealer,
    /// One bundle is imported at a time.
    bundle_turn: tokio::sync::Semaphore,
}

impl Admin {
    /// Over the services of a node. `sealer` signs tokens; nodes with the same master key accept each other's.
    pub fn new(services: Services, sealer: Sealer) -> Self {
        Self { services: Arc::new(services), sealer, bundle_turn: tokio::sync::Semaphore::new(1) }
    }

    /// The domain with this number or name, if it is within the authority.
    pub async fn domain(&self, authority: &Authority, named: &str) -> Result<Arc<Domain>> {
        let tenants = &self.services.tenants;
        let found = match named.parse() {
            Ok(id) => tenants.by_id(DomainId(id)).await?,
            Err(_) => match DomainName::parse(named) {
                Ok(name) => tenants.find(&name).await?,
                Err(_) => None,
            },
        };
        let Some(domain) = found else { return Err(AdminError::NotFound("domain")) };
        self.still(authority, &domain)?;
        Ok(domain)
    }

    /// Refuses a caller whose authority has ended, or does not extend to the domain with this number (any more). Called
    /// for each step of what takes longer.
    pub(super) fn still(&self, authority: &Authority, domain: &Domain) -> Result<()> {
        still(&self.services, authority, domain)
    }

    /// The audit log of a domain, or of all (`None`), as far as it is within the authority: a domain sees what was done
    /// in it.
    pub async fn audit_entries(
        &self,
        authority: &Authority,
        named: Option<&str>,
        before: Option<(UnixMillis, &str)>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let domain = match (named, &authority.domain) {
            (Some(named), _) => Some(self.own(authority, named).await?),
            (None, Some(own)) => Some(self.own(authority, own.as_str()).await?),
            (None, None) => None,
        };
        Ok(self.services.store.audit_entries(domain.as_ref().map(|domain| &domain.name), before, limit).await?)
    }

    /// Adds an entry to the audit log. Every operation that changes something calls it once it has done so; what a
    /// caller of the REST interface changes without, the interface notices (`src/web/api/on_record.rs`). If the store
    /// fails, the entry is written to the program's log.
    pub(super) async fn record(&self, authority: &Authority, what: &str, to: &str, domain: Option<&DomainName>) {
        authority.set_recorded();
        record(&self.services, authority, what, to, domain).await;
    }

    /// Records an action that no operation has recorded: which address was called, and how.
    pub async fn record_call(&self, authority: &Authority, method: &str, path: &str) {
        self.record(authority, "rest.call", &format!("{method} {path}"), authority.domain.as_ref()).await;
    }

    /// Sends a signal to every node. A lost signal delays other nodes but loses no data.
    async fn publish(&self, signal: &Signal) {
        if let Err(error) = self.services.store.publish(signal).await {
            tracing::warn!(%error, "change not published; other nodes see it at their next read");
        }
    }
}

fn still(services: &Services, authority: &Authority, domain: &Domain) -> Result<()> {
    let tenants = &services.tenants;
    if !tenants.holds(authority.grant()) {
        return Err(AdminError::Ended);
    }
    let reaches = tenants.reaches(authority.grant(), &domain.name, domain.id);
    if reaches { Ok(()) } else { Err(AdminError::NotFound("domain")) }
}

async fn record(services: &Services, authority: &Authority, what: &str, to: &str, domain: Option<&DomainName>) {
    let action = authority.actor.action(what, to, domain);
    if let Err(error) = services.store.append_audit(&random::guid(), &action).await {
        tracing::warn!(%error, who = %action.who, what = %action.what, to = %action.to, "audit entry not stored");
    }
}
