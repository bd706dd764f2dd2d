//! The operators' service: everything that operators can see and change, for the REST interface and the pages.
//!
//! Each call takes an [`Authority`], which limits what the caller can see; objects outside of it are reported as not
//! found. This module knows neither HTTP nor pages. The operations are described in `docs/operators.md`.

mod authority;
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

use crate::core::model::device::Domain;
use crate::core::model::ids::{DomainId, DomainName};
use crate::store::Signal;
use crate::store::seal::Sealer;

pub use authority::{Authority, Token};
pub use codes::{CodeFilter, OperatorCodeRequest};
pub use devices::{Filter, MAX_NAME, MAX_PAGE, Page};
pub use error::AdminError;
pub use outcomes::{Outcome, What};
pub use overview::{Overview, WholeInstance};
pub use rollouts::{Batch, MAX_USERS, RolloutRun, User};
pub use services::Services;
pub use timelines::TimelineReport;
pub use transfers::OfferListing;

/// Result of an operator's call.
pub type Result<T> = std::result::Result<T, AdminError>;

/// The operators' service of one node.
pub struct Admin {
    services: Arc<Services>,
    sealer: Sealer,
}

impl Admin {
    /// Over the services of a node. `sealer` signs tokens; nodes with the same master key accept each other's.
    pub fn new(services: Services, sealer: Sealer) -> Self {
        Self { services: Arc::new(services), sealer }
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
        if tenants.reach(authority.domain.as_ref(), &domain.name).await? {
            Ok(domain)
        } else {
            Err(AdminError::NotFound("domain"))
        }
    }

    /// Sends a signal to every node. A lost signal delays other nodes but loses no data.
    async fn publish(&self, signal: &Signal) {
        if let Err(error) = self.services.store.publish(signal).await {
            tracing::warn!(%error, "change not published; other nodes see it at their next read");
        }
    }
}
