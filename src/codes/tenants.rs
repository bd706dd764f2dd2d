//! The domains as every connection needs them: kept in memory, read from the store.
//!
//! Domains are few and seldom change. They are read again from time to time, and at once when somebody names one that is not
//! there, but then at most once a second, so that made-up names do not become a load on the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::clock;
use crate::core::device::Domain;
use crate::core::ids::{DomainId, DomainName};
use crate::core::jobs::Job;
use crate::core::time::Tick;
use crate::store::{self, Store};

/// How old the picture of the domains may become.
pub const REFRESH: Duration = Duration::from_secs(10);

/// Between two readings because of unknown names.
const AGAIN: Duration = Duration::from_secs(1);

/// The domains of the store.
pub struct Tenants {
    store: Arc<dyn Store>,
    domains: RwLock<HashMap<DomainName, Arc<Domain>>>,
    missed: Mutex<Option<Tick>>,
}

impl Tenants {
    /// Nothing is read yet.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, domains: RwLock::default(), missed: Mutex::default() }
    }

    /// Reads all domains.
    pub async fn refresh(&self) -> store::Result<()> {
        let read = self.store.domains().await?;
        let fresh = read.into_iter().map(|d| (d.name.clone(), Arc::new(d))).collect();
        *self.domains.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The domain with this name.
    pub async fn find(&self, name: &DomainName) -> store::Result<Option<Arc<Domain>>> {
        self.search(|domains| domains.get(name).cloned()).await
    }

    /// The domain with this number.
    pub async fn by_id(&self, id: DomainId) -> store::Result<Option<Arc<Domain>>> {
        self.search(|domains| domains.values().find(|d| d.id == id).cloned()).await
    }

    /// Whether who has proved the password of `from` (`None`: of the instance) may see and use things of `domain`
    /// (`appwebsocket.md` section 6).
    pub async fn reach(&self, from: Option<&DomainName>, domain: &DomainName) -> store::Result<bool> {
        Ok(match from {
            None => true,
            Some(from) if from == domain => true,
            Some(from) => self.find(from).await?.is_some_and(|from| from.access_to.contains(domain)),
        })
    }

    /// The jobs of a domain, oldest first; none if there is no such domain.
    pub fn jobs(&self, _domain: &DomainName) -> Arc<Vec<Job>> {
        Arc::default()
    }

    async fn search(
        &self,
        pick: impl Fn(&HashMap<DomainName, Arc<Domain>>) -> Option<Arc<Domain>> + Send,
    ) -> store::Result<Option<Arc<Domain>>> {
        let look = || pick(&self.domains.read().unwrap_or_else(PoisonError::into_inner));
        if let Some(domain) = look() {
            return Ok(Some(domain));
        }
        if !self.may_read_again() {
            return Ok(None);
        }
        self.refresh().await?;
        Ok(look())
    }

    fn may_read_again(&self) -> bool {
        let now = clock::now();
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        let may = missed.is_none_or(|before| now.since(before) >= AGAIN);
        if may {
            *missed = Some(now);
        }
        may
    }
}
