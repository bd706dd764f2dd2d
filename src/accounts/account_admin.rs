//! Accounts of this installation: makes and removes accounts and changes passwords.
//!
//! An operator of a domain can only manage accounts of that domain; other accounts are reported as unknown.

use std::time::Duration;

use super::SignIn;
use super::hashing::HashFor;
use crate::config::is_delivered;
use crate::core::model::accounts::{Account, AccountName, Identity};
use crate::core::model::ids::{DomainName, Secret};
use crate::store::{PutAccount, StoreError};

/// Shortest password, in characters.
pub const MIN_PASSWORD: usize = 10;

/// A new account.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Identity of who signs in with it.
    pub identity: Identity,
    /// Password.
    pub password: Secret,
}

/// Why an account was not made or changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AccountAdminError {
    /// The password is too short.
    #[error("a password has at least {MIN_PASSWORD} characters")]
    Short,
    /// The identity is invalid.
    #[error("{0}")]
    Identity(&'static str),
    /// The name is reserved for users of an OpenID provider.
    #[error("names that begin with oidc: are reserved for users of an OpenID provider")]
    Reserved,
    /// The name is in use.
    #[error("an account with this name exists already")]
    Exists,
    /// The limit of accounts is reached.
    #[error("the limit of accounts is reached")]
    TooMany,
    /// The account does not exist, or is outside of the authority.
    #[error("there is no such account")]
    Unknown,
    /// Operators cannot remove their own account.
    #[error("this is the account that you are signed in with")]
    Own,
    /// The old password is wrong.
    #[error("the password is wrong")]
    Wrong,
    /// The old password was not looked at: after many wrong ones it would have to wait this long.
    #[error("too many wrong passwords")]
    TryLater(Duration),
    /// Too many passwords are being hashed; the wait would be too long.
    #[error("too many requests at the moment")]
    Busy,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SignIn {
    /// Makes the missing accounts of the configuration. Existing accounts are not changed.
    pub async fn ensure_accounts(&self, accounts: &[NewAccount]) -> Result<(), AccountAdminError> {
        for new in accounts {
            if self.store.account(&new.identity.account).await?.is_none() {
                let mut new = new.clone();
                if let Some(domain) = &new.identity.domain {
                    new.identity.domain_id = self.store.domain(domain).await?.map(|domain| domain.id);
                }
                self.put_unchecked(&new, None).await?;
            }
        }
        Ok(())
    }

    /// The accounts of a domain (`None`: all), sorted by name, without their hashes.
    pub async fn accounts(&self, domain: Option<&DomainName>) -> Result<Vec<Identity>, AccountAdminError> {
        let all = self.store.accounts().await?;
        let within = |identity: &Identity| domain.is_none_or(|domain| identity.domain.as_ref() == Some(domain));
        Ok(all.into_iter().map(|account| account.identity).filter(within).collect())
    }

    /// Makes an account. `domain` is the domain of the acting operator.
    pub async fn make_account(&self, domain: Option<&DomainName>, new: &NewAccount) -> Result<(), AccountAdminError> {
        if domain.is_some() && new.identity.domain.as_ref() != domain {
            return Err(AccountAdminError::Identity("only accounts of your own domain"));
        }
        self.put(new, None).await
    }

    /// Changes the password of an account and ends its sessions.
    pub async fn set_password(
        &self,
        domain: Option<&DomainName>,
        name: &AccountName,
        password: &Secret,
    ) -> Result<Identity, AccountAdminError> {
        let account = self.account_within(domain, name).await?;
        let identity = account.identity.clone();
        self.put(&NewAccount { identity: identity.clone(), password: password.clone() }, Some(&account)).await?;
        self.store.end_sessions_of(name).await?;
        self.announce_end(name).await;
        Ok(identity)
    }

    /// Removes an account and ends its sessions.
    pub async fn remove_account(&self, who: &Identity, name: &AccountName) -> Result<Identity, AccountAdminError> {
        let identity = self.account_within(who.domain.as_ref(), name).await?.identity;
        if *name == who.account {
            return Err(AccountAdminError::Own);
        }
        self.store.remove_account(name).await?;
        self.store.end_sessions_of(name).await?;
        self.announce_end(name).await;
        Ok(identity)
    }

    async fn account_within(
        &self,
        domain: Option<&DomainName>,
        name: &AccountName,
    ) -> Result<Account, AccountAdminError> {
        let account = self.store.account(name).await?.ok_or(AccountAdminError::Unknown)?;
        let within = domain.is_none_or(|domain| account.identity.domain.as_ref() == Some(domain));
        if within { Ok(account) } else { Err(AccountAdminError::Unknown) }
    }

    /// Makes an account, or changes it if it is still `before`: whoever has changed it meanwhile was first.
    pub(super) async fn put(&self, new: &NewAccount, before: Option<&Account>) -> Result<(), AccountAdminError> {
        if new.password.expose().chars().count() < MIN_PASSWORD || is_delivered(&new.password) {
            return Err(AccountAdminError::Short);
        }
        self.put_unchecked(new, before).await
    }

    async fn put_unchecked(&self, new: &NewAccount, before: Option<&Account>) -> Result<(), AccountAdminError> {
        if let Some(fault) = new.identity.fault() {
            return Err(AccountAdminError::Identity(fault));
        }
        if new.identity.account.is_of_provider() {
            return Err(AccountAdminError::Reserved);
        }
        let hash = self.hashing.hash(&new.password, HashFor::SignedIn).await.map_err(|_| AccountAdminError::Busy)?;
        let account = Account { identity: new.identity.clone(), hash };
        if let Some(before) = before {
            let changed = self.store.change_account(before, &account).await?;
            return if changed { Ok(()) } else { Err(AccountAdminError::Unknown) };
        }
        match self.store.put_account(&account, false).await? {
            PutAccount::Kept => Ok(()),
            PutAccount::Exists => Err(AccountAdminError::Exists),
            PutAccount::TooMany => Err(AccountAdminError::TooMany),
        }
    }
}
