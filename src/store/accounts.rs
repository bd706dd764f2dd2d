//! Accounts of this installation, sessions in browsers, and the list of what was done.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Result;
use super::record::{Sealed, open, seal};
use super::seal::Sealer;
use crate::core::model::accounts::{Account, AccountName, AuditAction, AuditEntry, Identity, WebSession};
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;

/// Accounts of an installation, at most. Whoever has more people has a provider of identities for them.
pub const MAX_ACCOUNTS: usize = 10_000;

/// Sessions of one account at the same time; the one that ends first makes room for a new one.
pub const MAX_SESSIONS: usize = 32;

/// A session that is used is noted as such this often, so that not every page costs a write.
pub const SEEN_EVERY: Duration = Duration::from_secs(60);

/// A deed is listed this long.
pub const AUDIT_KEPT: Duration = Duration::from_secs(180 * 24 * 3600);

/// Deeds of one list, at most; the oldest makes room.
pub const MAX_AUDIT_ENTRIES: usize = 10_000;

/// Name of the sealed field.
const FIELD: &str = "hash";

/// What became of an account that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutAccount {
    /// It is kept.
    Kept,
    /// One of this name is there already; it stays.
    Exists,
    /// There are [`MAX_ACCOUNTS`].
    TooMany,
}

/// Accounts of this installation.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Keeps a new account; with `replace`, in the place of one with the same name.
    async fn put_account(&self, account: &Account, replace: bool) -> Result<PutAccount>;

    /// The account with this name.
    async fn account(&self, name: &AccountName) -> Result<Option<Account>>;

    /// All accounts, sorted by name.
    async fn accounts(&self) -> Result<Vec<Account>>;

    /// Forgets an account. False if there was none. Its sessions go on: end them too.
    async fn remove_account(&self, name: &AccountName) -> Result<bool>;
}

/// What a session is found by: a keyed hash of what the browser shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionHash(Box<str>);

impl SessionHash {
    /// Of what the browser shows.
    pub fn of(sealer: &Sealer, shown: &str) -> Self {
        Self(sealer.hash("web session", shown).into())
    }

    /// The hash in hex: good to name a session in a page, and of no use to enter it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From what [`Self::as_str`] has given.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }
}

/// Sessions in browsers.
#[async_trait]
pub trait WebSessions: Send + Sync {
    /// Begins a session. It ends `idle` after it was last used, and `whole` after now at the latest.
    async fn begin_session(
        &self,
        hash: &SessionHash,
        identity: &Identity,
        browser: &str,
        idle: Duration,
        whole: Duration,
    ) -> Result<WebSession>;

    /// The session, which is used hereby and lives on for `idle`; without `idle` it is only looked at.
    async fn use_session(&self, hash: &SessionHash, idle: Option<Duration>) -> Result<Option<WebSession>>;

    /// The sessions of an account, the one that was begun last first.
    async fn sessions_of(&self, account: &AccountName) -> Result<Vec<(SessionHash, WebSession)>>;

    /// Ends one session of an account. False if it was over already.
    async fn end_session(&self, account: &AccountName, hash: &SessionHash) -> Result<bool>;

    /// Ends all sessions of an account. Returns how many there were.
    async fn end_sessions_of(&self, account: &AccountName) -> Result<u64>;
}

/// What was done by whom.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Adds a deed to the list of all, and to that of its domain. `mark` tells it from others: repeated, it counts once.
    async fn append_audit(&self, mark: &str, action: &AuditAction) -> Result<()>;

    /// Up to `limit` deeds, newest first, from behind `before`: those of a domain, or all.
    async fn audit_entries(
        &self,
        domain: Option<&DomainName>,
        before: Option<(UnixMillis, &str)>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>>;
}

/// An account as it is kept.
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

    pub fn open(self, sealer: &Sealer, place: &str) -> Result<Account> {
        Ok(Account { hash: open(sealer, place, FIELD, &self.hash.0)?, identity: self.identity })
    }
}
