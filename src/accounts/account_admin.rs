//! Accounts of this installation: made, given another password, taken away.
//!
//! An operator of a domain handles the accounts of that domain and no others; what is outside does not exist for them.

use super::{DELIVERED_PASSWORD, SignIn};
use crate::core::model::accounts::{Account, AccountName, Identity};
use crate::core::model::ids::{DomainName, Secret};
use crate::store::{PutAccount, StoreError};

/// Shortest password that is taken, in characters.
pub const MIN_PASSWORD: usize = 10;

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Who signs in by it.
    pub identity: Identity,
    /// With what.
    pub password: Secret,
}

/// Why an account was not made or changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AccountAdminError {
    /// The password is too short.
    #[error("a password has at least {MIN_PASSWORD} characters")]
    Short,
    /// Nobody can be this.
    #[error("{0}")]
    Identity(&'static str),
    /// The name is one that users of a provider have.
    #[error("names that begin with oidc: are those of an OpenID provider's users")]
    Reserved,
    /// The name is taken.
    #[error("there is an account with this name already")]
    Exists,
    /// There are as many as there may be.
    #[error("there are as many accounts as there may be")]
    TooMany,
    /// There is no such account, or it is outside of the authority.
    #[error("there is no such account")]
    Unknown,
    /// Somebody would lock themselves out.
    #[error("this is the account that you are signed in with")]
    Own,
    /// The old password is wrong.
    #[error("the password is wrong")]
    Wrong,
    /// So many passwords are being hashed that this one would wait too long.
    #[error("too many at this moment")]
    Busy,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SignIn {
    /// Makes the accounts of the configuration that are missing. What is there stays as it is.
    pub async fn ensure_accounts(&self, accounts: &[NewAccount]) -> Result<(), AccountAdminError> {
        for new in accounts {
            if self.store.account(&new.identity.account).await?.is_none() {
                self.keep_any(new, false).await?;
            }
        }
        Ok(())
    }

    /// The accounts that somebody handles, sorted by name, without their hashes.
    pub async fn accounts(&self, domain: Option<&DomainName>) -> Result<Vec<Identity>, AccountAdminError> {
        let all = self.store.accounts().await?;
        let within = |identity: &Identity| domain.is_none_or(|domain| identity.domain.as_ref() == Some(domain));
        Ok(all.into_iter().map(|account| account.identity).filter(within).collect())
    }

    /// Makes an account. `domain` is that of the one who does it.
    pub async fn make_account(&self, domain: Option<&DomainName>, new: &NewAccount) -> Result<(), AccountAdminError> {
        if domain.is_some() && new.identity.domain.as_ref() != domain {
            return Err(AccountAdminError::Identity("only accounts of your own domain"));
        }
        self.keep(new, false).await
    }

    /// Gives an account another password. Its sessions end.
    pub async fn set_password(
        &self,
        domain: Option<&DomainName>,
        name: &AccountName,
        password: &Secret,
    ) -> Result<Identity, AccountAdminError> {
        let identity = self.account_within(domain, name).await?;
        self.keep(&NewAccount { identity: identity.clone(), password: password.clone() }, true).await?;
        self.store.end_sessions_of(name).await?;
        Ok(identity)
    }

    /// Takes an account away. Its sessions end.
    pub async fn remove_account(&self, who: &Identity, name: &AccountName) -> Result<Identity, AccountAdminError> {
        let identity = self.account_within(who.domain.as_ref(), name).await?;
        if *name == who.account {
            return Err(AccountAdminError::Own);
        }
        self.store.remove_account(name).await?;
        self.store.end_sessions_of(name).await?;
        Ok(identity)
    }

    async fn account_within(
        &self,
        domain: Option<&DomainName>,
        name: &AccountName,
    ) -> Result<Identity, AccountAdminError> {
        let account = self.store.account(name).await?.ok_or(AccountAdminError::Unknown)?;
        let within = domain.is_none_or(|domain| account.identity.domain.as_ref() == Some(domain));
        if within { Ok(account.identity) } else { Err(AccountAdminError::Unknown) }
    }

    pub(super) async fn keep(&self, new: &NewAccount, replace: bool) -> Result<(), AccountAdminError> {
        if new.password.expose().chars().count() < MIN_PASSWORD || new.password.expose() == DELIVERED_PASSWORD {
            return Err(AccountAdminError::Short);
        }
        self.keep_any(new, replace).await
    }

    async fn keep_any(&self, new: &NewAccount, replace: bool) -> Result<(), AccountAdminError> {
        if let Some(fault) = new.identity.fault() {
            return Err(AccountAdminError::Identity(fault));
        }
        if new.identity.account.is_of_provider() {
            return Err(AccountAdminError::Reserved);
        }
        let hash = self.hashing.hash(&new.password).await.map_err(|_| AccountAdminError::Busy)?;
        let account = Account { identity: new.identity.clone(), hash };
        match self.store.put_account(&account, replace).await? {
            PutAccount::Kept => Ok(()),
            PutAccount::Exists => Err(AccountAdminError::Exists),
            PutAccount::TooMany => Err(AccountAdminError::TooMany),
        }
    }
}
