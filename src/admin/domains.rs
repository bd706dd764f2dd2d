//! Domains: their settings, and the access of other domains.

use std::collections::HashSet;
use std::sync::Arc;

use super::categories::COMMA;
use super::{Admin, AdminError, Authority, Result};
use crate::core::model::accounts::Identity;
use crate::core::model::device::{Category, Domain};
use crate::core::model::ids::{DomainName, Secret};
use crate::store::{Deleted, DomainChange, NewDomain, Signal};

impl Admin {
    /// All domains within the authority, sorted by number.
    pub async fn domains(&self, authority: &Authority) -> Result<Vec<Arc<Domain>>> {
        let tenants = &self.services.tenants;
        let mut within = Vec::new();
        for domain in tenants.all() {
            if tenants.reach(authority.domain.as_ref(), &domain.name).await? {
                within.push(domain);
            }
        }
        Ok(within)
    }

    /// Makes a domain. Only with the instance password.
    pub async fn create_domain(&self, authority: &Authority, new: &NewDomain) -> Result<Arc<Domain>> {
        authority.instance_only()?;
        self.check_delivered(&[("password", Some(&new.password)), ("autoToken", Some(&new.auto_token))])?;
        let mut names = HashSet::new();
        if let Some(at) = new.categories.iter().position(|(name, _)| !names.insert(name)) {
            return Err(AdminError::unfit(format!("categories.{at}.name"), "there are two of this name"));
        }
        if let Some(at) = new.categories.iter().position(|(name, _)| !Category::is_new_name(name)) {
            return Err(AdminError::invalid(format!("categories.{at}.name"), COMMA));
        }
        let made = self.services.store.create_domain(new).await?;
        let made = made.ok_or_else(|| AdminError::Conflict("there is a domain of this name already".into()))?;
        self.record(authority, "domain.make", new.name.as_str(), Some(&new.name)).await;
        self.changed(&new.name).await;
        Ok(Arc::new(made))
    }

    /// Changes settings of a domain: the instance or the domain itself.
    pub async fn change_domain(
        &self,
        authority: &Authority,
        named: &str,
        change: &DomainChange,
    ) -> Result<Arc<Domain>> {
        let domain = self.own(authority, named).await?;
        self.check_delivered(&[("password", change.password.as_ref()), ("autoToken", change.auto_token.as_ref())])?;
        if !self.services.store.change_domain(&domain.name, change).await? {
            return Err(AdminError::NotFound("domain"));
        }
        let changed = [
            (&change.password, "domain.password"),
            (&change.admin_password, "domain.admin_password"),
            (&change.auto_token, "domain.token"),
        ];
        for (_, what) in changed.iter().filter(|(secret, _)| secret.is_some()) {
            self.record(authority, what, domain.name.as_str(), Some(&domain.name)).await;
        }
        // A change without members changes nothing.
        authority.set_recorded();
        self.changed(&domain.name).await;
        // Not through the authority, which may have ended just now.
        let now = self.services.tenants.find(&domain.name).await?;
        now.filter(|now| now.id == domain.id).ok_or(AdminError::NotFound("domain"))
    }

    /// Refuses a delivered password or token, unless only this machine reaches the service.
    fn check_delivered(&self, secrets: &[(&str, Option<&Secret>)]) -> Result<()> {
        let refused = |secret: &Secret| self.services.tenants.refuses(secret);
        match secrets.iter().find(|(_, secret)| secret.is_some_and(refused)) {
            Some((field, _)) => {
                Err(AdminError::invalid(*field, "is a delivered one, which everybody knows; choose your own"))
            }
            None => Ok(()),
        }
    }

    /// Deletes a domain that no device belongs to. Only with the instance password.
    pub async fn delete_domain(&self, authority: &Authority, named: &str) -> Result<()> {
        let domain = self.domain(authority, named).await?;
        authority.instance_only()?;
        // The access that it gave to other domains ends too; their nodes have to see that at once.
        let had_access = self.with_access(&domain.name);
        match self.services.store.delete_domain(&domain.name).await? {
            Deleted::Gone => {
                // Not in the log of the domain, which is gone with it.
                self.record(authority, "domain.delete", domain.name.as_str(), None).await;
                self.changed(&domain.name).await;
                self.remove_accounts_of(&domain).await;
                for other in had_access {
                    self.changed(&other).await;
                }
                Ok(())
            }
            Deleted::InUse => {
                Err(AdminError::Conflict("devices belong to the domain; move or remove them first".into()))
            }
            Deleted::Unknown => Err(AdminError::NotFound("domain")),
        }
    }

    /// Names of the domains that have access to this one, sorted.
    pub async fn access(&self, authority: &Authority, named: &str) -> Result<Vec<DomainName>> {
        let domain = self.own(authority, named).await?;
        Ok(self.with_access(&domain.name))
    }

    /// Replaces the list of domains with access to this one. Only the domain itself and the instance may do that.
    pub async fn set_access(&self, authority: &Authority, named: &str, to: &[DomainName]) -> Result<Vec<DomainName>> {
        let domain = self.own(authority, named).await?;
        self.services.tenants.refresh().await?;
        for (at, other) in to.iter().enumerate() {
            // The answer reveals no more about a name than the app log-in with that name does.
            if *other == domain.name || self.services.tenants.find(other).await?.is_none() {
                return Err(AdminError::unfit(format!("domains.{at}"), "is not the name of another domain"));
            }
        }
        let before = self.with_access(&domain.name);
        let gained = to.iter().filter(|other| !before.contains(other));
        let lost = before.iter().filter(|other| !to.contains(other));
        let this = || vec![domain.name.clone()];
        let gained = gained.map(|other| (other, DomainChange { access_gained: this(), ..DomainChange::default() }));
        let lost = lost.map(|other| (other, DomainChange { access_lost: this(), ..DomainChange::default() }));
        // Withdrawn first: should the store fail in between, nobody has more than was asked for.
        let mut changed = Ok(());
        for (other, change) in lost.chain(gained) {
            // A domain that was deleted meanwhile has no access.
            changed = self.services.store.change_domain(other, &change).await.map(drop);
            if changed.is_err() {
                break;
            }
            self.changed(other).await;
        }
        let now = self.with_access(&domain.name);
        if now != before {
            let names: Vec<_> = now.iter().map(DomainName::as_str).collect();
            self.record(authority, "domain.access", &names.join(" "), Some(&domain.name)).await;
        }
        authority.set_recorded();
        changed?;
        Ok(now)
    }

    /// Removes the accounts of a deleted domain and ends their sessions. One that stays behind, because the store fails
    /// now, opens nothing: it is bound to the number of the domain.
    async fn remove_accounts_of(&self, domain: &Domain) {
        let store = &self.services.store;
        let accounts = match store.accounts().await {
            Ok(accounts) => accounts,
            Err(error) => return tracing::warn!(%error, domain = %domain.name, "accounts of the domain not removed"),
        };
        let mine = |identity: &Identity| {
            identity.domain.as_ref() == Some(&domain.name) && identity.domain_id.is_none_or(|id| id == domain.id)
        };
        for account in accounts.into_iter().map(|account| account.identity).filter(mine).map(|mine| mine.account) {
            let removed = async {
                store.remove_account(&account).await?;
                store.end_sessions_of(&account).await
            };
            if let Err(error) = removed.await {
                tracing::warn!(%error, account = account.as_str(), "account of the deleted domain not removed");
            }
            self.publish(&Signal::SessionsEnded { account }).await;
        }
    }

    /// The domains that this domain has given access to.
    fn with_access(&self, domain: &DomainName) -> Vec<DomainName> {
        let all = self.services.tenants.all();
        let mut names: Vec<_> =
            all.iter().filter(|other| other.access_to.contains(domain)).map(|other| other.name.clone()).collect();
        names.sort();
        names
    }

    /// The domain with this number or name, if the caller may change it.
    pub(super) async fn own(&self, authority: &Authority, named: &str) -> Result<Arc<Domain>> {
        let domain = self.domain(authority, named).await?;
        authority.own_domain(&domain.name)?;
        Ok(domain)
    }

    /// Updates the cache of this node after a change of a domain, and notifies the other nodes.
    pub(super) async fn changed(&self, domain: &DomainName) {
        if let Err(error) = self.services.tenants.refresh_one(domain).await {
            // The change is made; this node sees it at its next read.
            tracing::warn!(%error, %domain, "changed domain not read");
        }
        self.publish(&Signal::Tenant { domain: domain.clone() }).await;
    }
}
