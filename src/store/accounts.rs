//! Accounts of this installation. Their sessions are in `web_sessions.rs`, the log of changes in `audit_log.rs`.

use serde::{Deserialize, Serialize};

use super::Result;
use super::observed::store_trait;
use super::record::{Sealed, open, seal};
use super::seal::Sealer;
use crate::core::model::accounts::{Account, AccountName, Identity};
use crate::core::model::ids::DomainName;

/// Upper limit of accounts. An installation with more people signs them in with an identity provider.
pub const MAX_ACCOUNTS: usize = 10_000;

/// Name of the sealed field.
const FIELD: &str = "hash";

/// Result of [`Accounts::put_account`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutAccount {
    /// It is kept.
    Kept,
    /// There is one of this name already; it stays.
    Exists,
    /// There are [`MAX_ACCOUNTS`].
    TooMany,
}

store_trait! {
    /// Accounts of this installation.
    pub trait Accounts: Send + Sync {
        /// Keeps a new account; with `replace`, it may replace one with the same name.
        async fn put_account(&self, account: &Account, replace: bool) -> Result<PutAccount> => PutAccount;

        /// Replaces an account that is still `before`. False if it was changed or removed since it was read.
        async fn change_account(&self, before: &Account, account: &Account) -> Result<bool> => PutAccount;

        /// The account with this name.
        async fn account(&self, name: &AccountName) -> Result<Option<Account>> => Accounts;

        /// All accounts, sorted by name.
        async fn accounts(&self) -> Result<Vec<Account>> => Accounts;

        /// Removes an account. False if there was none. Its sessions stay; the caller ends them.
        async fn remove_account(&self, name: &AccountName) -> Result<bool> => RemoveAccount;
    }
}

/// An account as both backends store it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct AccountRow {
    identity: Identity,
    hash: Sealed,
}

impl AccountRow {
    pub fn of(sealer: &Sealer, place: &str, account: &Account) -> Self {
        let hash = Sealed(seal(sealer, place, FIELD, &account.hash));
        Self { identity: account.identity.clone(), hash }
    }

    /// The domain of the account.
    pub const fn domain(&self) -> Option<&DomainName> {
        self.identity.domain.as_ref()
    }

    pub fn open(self, sealer: &Sealer, place: &str) -> Result<Account> {
        Ok(Account { hash: open(sealer, place, FIELD, &self.hash.0)?, identity: self.identity })
    }
}
