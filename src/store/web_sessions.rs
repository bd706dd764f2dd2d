//! Sessions of signed-in accounts in browsers.

use std::time::Duration;

use super::Result;
use super::observed::store_trait;
use super::seal::Sealer;
use crate::core::model::accounts::{AccountName, Identity, WebSession};

/// Upper limit of sessions of one account at the same time; a new one replaces the one that ends first.
pub const MAX_SESSIONS: usize = 32;

/// The use of a session is recorded at most this often, so that not every page costs a write.
pub const SEEN_EVERY: Duration = Duration::from_secs(60);

/// Identifies a session: a keyed hash of the token that the browser presents.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionHash(Box<str>);

impl SessionHash {
    /// Of the token that the browser presents.
    pub fn of(sealer: &Sealer, shown: &str) -> Self {
        Self(sealer.hash("web session", shown).into())
    }

    /// All hashes under which the session of this token may be: that of before there was an instance key, too.
    pub fn all(sealer: &Sealer, shown: &str) -> impl Iterator<Item = Self> {
        let other = sealer.other_hash("web session", shown).map(|hash| Self(hash.into()));
        std::iter::once(Self::of(sealer, shown)).chain(other)
    }

    /// The hash in hex. It may appear in a page: it names a session and does not open it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From the text of [`Self::as_str`].
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }
}

store_trait! {
    /// Sessions in browsers.
    pub trait WebSessions: Send + Sync {
        /// Begins a session. It ends `idle` after its last use, and `whole` after now at the latest.
        async fn begin_session(
            &self,
            hash: &SessionHash,
            identity: &Identity,
            browser: &str,
            idle: Duration,
            whole: Duration,
        ) -> Result<WebSession> => BeginSession;

        /// The session. With `idle` this is a use that prolongs it by `idle`; without it the session is only read.
        async fn use_session(
            &self,
            hash: &SessionHash,
            idle: Option<Duration>,
        ) -> Result<Option<WebSession>> => UseSession;

        /// The sessions of an account, the latest first.
        async fn sessions_of(&self, account: &AccountName) -> Result<Vec<(SessionHash, WebSession)>> => SessionsOf;

        /// Ends one session of an account. False if it had ended already.
        async fn end_session(&self, account: &AccountName, hash: &SessionHash) -> Result<bool> => EndSession;

        /// Ends all sessions of an account. Returns how many there were.
        async fn end_sessions_of(&self, account: &AccountName) -> Result<u64> => EndSession;
    }
}
