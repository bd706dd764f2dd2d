//! In-memory cache of the domains and their jobs, which every connection needs.
//!
//! Domains are few and seldom change. All are read again regularly, and at once when an unknown name is asked for, but
//! then at most once a second, so that invented names do not load the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock;
use crate::config::is_delivered;
use crate::core::model::device::Domain;
use crate::core::model::grant::Grant;
use crate::core::model::ids::{DomainId, DomainName, Secret};
use crate::core::model::time::Tick;
use crate::core::policy::jobs::Job;
use crate::store::{self, Store};

/// The domains are read again after this time.
pub const REFRESH: Duration = Duration::from_secs(10);

/// Time between two reads because of unknown names.
const REREAD_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Tenant {
    domain: Arc<Domain>,
    jobs: Arc<Vec<Job>>,
    /// It has a delivered password or token. Unless only this machine reaches the service, it was left out.
    delivered: bool,
}

impl Tenant {
    /// Whether the record is unchanged. A domain that was deleted and created again has another number.
    fn is_same(&self, domain: &Domain) -> bool {
        (self.domain.id, self.domain.revision) == (domain.id, domain.revision)
    }

    /// Whether a category that a job is for has another name or mark: they are in device configurations.
    fn has_other_categories(&self, before: &Self) -> bool {
        let of = |tenant: &Self, id| tenant.domain.categories.iter().find(|category| category.id == id).cloned();
        self.jobs.iter().filter_map(|job| job.order.category).any(|id| of(self, id) != of(before, id))
    }
}

/// Changes of a domain that its members have to learn of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TenantChanges {
    /// The administrative password has changed.
    pub admin_password: bool,
    /// The jobs have changed.
    pub jobs: bool,
    /// The domain is gone, or another one has taken its name.
    pub gone: bool,
}

/// The cached domains and their jobs.
pub struct Tenants {
    store: Arc<dyn Store>,
    /// Delivered passwords and tokens of domains open nothing.
    refuses_delivered: bool,
    known: RwLock<HashMap<DomainName, Tenant>>,
    /// Changes that [`Tenants::take_changes`] has not returned yet.
    changes: Mutex<HashMap<DomainName, TenantChanges>>,
    /// Held while reading, so that no older state replaces a newer one.
    reading: tokio::sync::Mutex<()>,
    /// The last read because of an unknown name.
    reread: Mutex<Option<Tick>>,
    /// Counts the changes that can end a right.
    rights: watch::Sender<u64>,
}

impl Tenants {
    /// An empty cache.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            refuses_delivered: false,
            known: RwLock::default(),
            changes: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            reread: Mutex::default(),
            rights: watch::Sender::new(0),
        }
    }

    /// From now on delivered passwords and tokens of domains open nothing.
    #[must_use]
    pub fn without_delivered(self) -> Self {
        Self { refuses_delivered: true, ..self }
    }

    /// Whether a domain may not have this password or token, because everybody knows it.
    pub fn refuses(&self, secret: &Secret) -> bool {
        self.refuses_delivered && is_delivered(secret)
    }

    /// A domain whose password or token is a delivered one.
    pub fn with_delivered(&self) -> Option<DomainName> {
        let tenants = self.known.read().unwrap_or_else(PoisonError::into_inner);
        tenants.values().filter(|tenant| tenant.delivered).map(|tenant| tenant.domain.name.clone()).min()
    }

    /// Reads all domains, and the jobs of those that have changed.
    pub async fn refresh(&self) -> store::Result<()> {
        let _turn = self.reading.lock().await;
        let mut fresh = HashMap::new();
        for domain in self.store.domains().await? {
            fresh.insert(domain.name.clone(), self.read(domain).await?);
        }
        let ended = {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::replace(&mut *known, fresh);
            before.values().filter(|tenant| self.may_end_rights(tenant, known.get(&tenant.domain.name))).count() > 0
        };
        self.announce(ended);
        Ok(())
    }

    /// Reads one domain, and its jobs if it has changed.
    pub async fn refresh_one(&self, name: &DomainName) -> store::Result<()> {
        let _turn = self.reading.lock().await;
        let tenant = match self.store.domain(name).await? {
            Some(domain) => Some(self.read(domain).await?),
            None => None,
        };
        let ended = {
            let mut tenants = self.known.write().unwrap_or_else(PoisonError::into_inner);
            let ended = tenants.get(name).is_some_and(|known| self.may_end_rights(known, tenant.as_ref()));
            match tenant {
                Some(tenant) => tenants.insert(name.clone(), tenant),
                None => tenants.remove(name),
            };
            ended
        };
        self.announce(ended);
        Ok(())
    }

    /// Whether rights of this domain, or to others through it, may have ended. Records that a domain is gone.
    fn may_end_rights(&self, before: &Tenant, now: Option<&Tenant>) -> bool {
        let before = &before.domain;
        let Some(now) = now.map(|now| &now.domain).filter(|now| now.id == before.id) else {
            let mut all = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(before.name.clone()).or_default().gone = true;
            return true;
        };
        before.password != now.password || before.access_to.iter().any(|other| !now.access_to.contains(other))
    }

    fn announce(&self, ended: bool) {
        if ended {
            self.rights.send_modify(|changes| *changes += 1);
        }
    }

    /// Changes after each change that can end a right: a domain is gone, has another number or password, or has lost
    /// access to another one. Whoever holds a right asks [`Tenants::holds`] or [`Tenants::reaches`] again then.
    pub fn rights_changed(&self) -> watch::Receiver<u64> {
        self.rights.subscribe()
    }

    /// Whether a right holds, as the domains were last read. `None`: that of the whole instance.
    pub fn holds(&self, grant: Option<&Grant>) -> bool {
        grant.is_none_or(|grant| {
            let tenants = self.known.read().unwrap_or_else(PoisonError::into_inner);
            grant.holds(tenants.get(&grant.domain).map(|tenant| &*tenant.domain))
        })
    }

    /// Whether a right holds and extends to this domain, which has this number, as the domains were last read.
    pub fn reaches(&self, grant: Option<&Grant>, name: &DomainName, id: DomainId) -> bool {
        let tenants = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let now = |name| tenants.get(name).map(|tenant| &*tenant.domain);
        now(name).is_some_and(|domain| domain.id == id)
            && grant.is_none_or(|grant| {
                let own = now(&grant.domain);
                let extends = |own: &Domain| own.name == *name || own.access_to.contains(name);
                grant.holds(own) && own.is_some_and(extends)
            })
    }

    /// The changes since the last call.
    pub fn take_changes(&self) -> HashMap<DomainName, TenantChanges> {
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn read(&self, mut domain: Domain) -> store::Result<Tenant> {
        let known = self.tenant(&domain.name);
        if let Some(same) = known.as_ref().filter(|known| known.is_same(&domain)) {
            return Ok(same.clone());
        }
        let mut delivered = false;
        for secret in [&mut domain.password, &mut domain.auto_token] {
            delivered |= is_delivered(secret);
            if self.refuses(secret) {
                *secret = Secret::default();
            }
        }
        let tenant =
            Tenant { delivered, jobs: Arc::new(self.store.jobs(&domain.name).await?), domain: Arc::new(domain) };
        if let Some(known) = known {
            let mut all = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let changes = all.entry(tenant.domain.name.clone()).or_default();
            changes.admin_password |= known.domain.admin_password != tenant.domain.admin_password;
            changes.jobs |= known.jobs != tenant.jobs || tenant.has_other_categories(&known);
        }
        Ok(tenant)
    }

    fn tenant(&self, name: &DomainName) -> Option<Tenant> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The domain with this name.
    pub async fn find(&self, name: &DomainName) -> store::Result<Option<Arc<Domain>>> {
        self.search(|tenants| tenants.get(name).map(|tenant| tenant.domain.clone())).await
    }

    /// Checks a secret that belongs to a domain. `check` is given the domain as it was last read (`None`: there is none
    /// of this name) and returns a value if the secret is right. If it is not, all domains are read again, when that is
    /// due, and `check` is asked once more. Unknown names and wrong secrets are treated alike, so that neither the time
    /// nor the load of the store tells which of them it was.
    pub async fn check_secret<T>(
        &self,
        name: Option<&DomainName>,
        check: impl Fn(Option<&Domain>) -> Option<T>,
    ) -> store::Result<Option<T>> {
        let look = || name.and_then(|name| self.tenant(name)).map(|tenant| tenant.domain);
        let right = check(look().as_deref());
        if right.is_some() || !self.may_read_again() {
            return Ok(right);
        }
        self.refresh().await?;
        Ok(check(look().as_deref()))
    }

    /// The domain with this number.
    pub async fn by_id(&self, id: DomainId) -> store::Result<Option<Arc<Domain>>> {
        self.search(|tenants| tenants.values().map(|tenant| &tenant.domain).find(|d| d.id == id).cloned()).await
    }

    /// The number of the domain with this name, as it was last read.
    pub fn number(&self, name: &DomainName) -> Option<DomainId> {
        self.tenant(name).map(|tenant| tenant.domain.id)
    }

    /// All domains, sorted by number, as they were last read.
    pub fn all(&self) -> Vec<Arc<Domain>> {
        let tenants = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = tenants.values().map(|tenant| tenant.domain.clone()).collect();
        all.sort_by_key(|domain| domain.id.0);
        all
    }

    /// Whether a log-in with the password of `from` (`None`: of the instance) may see and use `domain`
    /// (`docs/protocol/appwebsocket.md` section 6).
    pub async fn reach(&self, from: Option<&DomainName>, domain: &DomainName) -> store::Result<bool> {
        Ok(match from {
            None => true,
            Some(from) if from == domain => true,
            Some(from) => self.find(from).await?.is_some_and(|from| from.access_to.contains(domain)),
        })
    }

    /// All domains that [`Tenants::reach`] allows, sorted by number, as they were last read.
    pub fn reachable(&self, from: Option<&DomainName>) -> Vec<Arc<Domain>> {
        let tenants = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = match from {
            None => tenants.values().map(|tenant| Arc::clone(&tenant.domain)).collect(),
            Some(name) => {
                let own = tenants.get(name);
                let others = own.iter().flat_map(|own| &own.domain.access_to).filter(|other| *other != name);
                let all = own.into_iter().chain(others.filter_map(|other| tenants.get(other)));
                all.map(|tenant| Arc::clone(&tenant.domain)).collect()
            }
        };
        found.sort_by_key(|domain| domain.id);
        found
    }

    /// The jobs of a domain, oldest first; empty if there is no such domain.
    pub fn jobs(&self, domain: &DomainName) -> Arc<Vec<Job>> {
        self.tenant(domain).map(|tenant| tenant.jobs).unwrap_or_default()
    }

    /// A domain with its jobs, oldest first, as they were last read.
    pub fn with_jobs(&self, domain: &DomainName) -> Option<(Arc<Domain>, Arc<Vec<Job>>)> {
        self.tenant(domain).map(|tenant| (tenant.domain, tenant.jobs))
    }

    async fn search(
        &self,
        pick: impl Fn(&HashMap<DomainName, Tenant>) -> Option<Arc<Domain>> + Send,
    ) -> store::Result<Option<Arc<Domain>>> {
        let look = || pick(&self.known.read().unwrap_or_else(PoisonError::into_inner));
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
        let mut reread = self.reread.lock().unwrap_or_else(PoisonError::into_inner);
        let may = reread.is_none_or(|before| now.since(before) >= REREAD_AFTER);
        if may {
            *reread = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests;
