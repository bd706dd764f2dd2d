//! What a provider publishes, metadata and keys, and when it is read again: after an hour, and when a token names a key
//! that is not among those known.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::OidcError;
use super::discovery::{self, Discovered};
use super::http::Http;
use crate::clock;
use crate::core::model::time::Tick;

/// Metadata and keys are read again after this time.
const REFRESH: Duration = Duration::from_secs(3600);

/// Reads because of unknown keys are at least this far apart, so that tokens with invented keys do not become requests
/// to the provider.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(60);

/// What is known, and the outcome of the last read.
#[derive(Default)]
struct Kept {
    known: Option<Arc<Discovered>>,
    /// The last read because of an unknown key.
    unknown_key: Option<Tick>,
    /// Reads that have ended.
    reads: u64,
    /// Why the last one failed.
    failure: Option<String>,
}

impl Kept {
    /// Whether a token with an unknown key is a reason to read now.
    fn may_read_for_unknown_key(&self, now: Tick) -> bool {
        self.unknown_key.is_none_or(|last| now.since(last) >= UNKNOWN_KEY_PAUSE)
    }
}

/// What the provider publishes, as last read.
#[derive(Default)]
pub(super) struct Published {
    kept: Mutex<Kept>,
    /// Held while reading. Who waits for it takes over what was read meanwhile.
    reading: tokio::sync::Mutex<()>,
}

impl Published {
    fn with<R>(&self, act: impl FnOnce(&mut Kept) -> R) -> R {
        // Every change is one assignment, so a panic leaves nothing half done.
        act(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn fresh(&self) -> Option<Arc<Discovered>> {
        let now = clock::now();
        self.with(|kept| kept.known.clone().filter(|known| now.since(known.read_at) < REFRESH))
    }

    /// Metadata and keys; read only if those known are too old.
    pub async fn get(&self, http: &Http, issuer: &str, limit: Duration) -> Result<Arc<Discovered>, OidcError> {
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        let reads = self.with(|kept| kept.reads);
        let _turn = self.turn(limit).await?;
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        if let Some(failure) = self.with(|kept| kept.failure.clone().filter(|_| kept.reads != reads)) {
            return Err(OidcError::Down(failure));
        }
        self.read(http, issuer).await
    }

    /// Metadata and keys after a token has named a key that is not in `outdated`. They are the same ones if there was a
    /// read for such a token a moment ago.
    pub async fn get_newer(
        &self,
        outdated: &Arc<Discovered>,
        http: &Http,
        issuer: &str,
        limit: Duration,
    ) -> Result<Arc<Discovered>, OidcError> {
        let _turn = self.turn(limit).await?;
        let now = clock::now();
        let known = self.with(|kept| {
            let newer = kept.known.clone().filter(|known| !Arc::ptr_eq(known, outdated));
            let known = newer.or_else(|| (!kept.may_read_for_unknown_key(now)).then(|| Arc::clone(outdated)));
            if known.is_none() {
                kept.unknown_key = Some(now);
            }
            known
        });
        match known {
            Some(known) => Ok(known),
            None => self.read(http, issuer).await,
        }
    }

    async fn turn(&self, limit: Duration) -> Result<tokio::sync::MutexGuard<'_, ()>, OidcError> {
        timeout(limit, self.reading.lock()).await.map_err(|_| OidcError::Down("no answer in time".into()))
    }

    async fn read(&self, http: &Http, issuer: &str) -> Result<Arc<Discovered>, OidcError> {
        let read = discovery::discover(http, issuer, clock::now()).await.map(Arc::new);
        self.with(|kept| {
            kept.reads += 1;
            kept.failure = read.as_ref().err().map(|error| match error {
                OidcError::Down(why) => why.clone(),
                other => other.to_string(),
            });
            if let Ok(read) = &read {
                kept.known = Some(Arc::clone(read));
            }
        });
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_cause_one_read_a_minute() {
        let mut kept = Kept::default();
        assert!(kept.may_read_for_unknown_key(Tick(5)));
        kept.unknown_key = Some(Tick(5));
        assert!(!kept.may_read_for_unknown_key(Tick(60_004)));
        assert!(kept.may_read_for_unknown_key(Tick(60_005)));
    }
}
