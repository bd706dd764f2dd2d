//! The rules of the directory (`docs/protocol/directory.md` section 3), the same for local and remote callers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use subtle::{Choice, ConstantTimeEq as _};

use super::{DirectoryError, DirectorySettings, IssuedByDirectory, SettingsError, check_address};
use crate::core::model::ids::{Code, Secret};
use crate::core::model::time::Tick;
use crate::core::policy::limits::{PerSecond, SourceKey};
use crate::core::policy::record_pace::RecordPace;
use crate::core::protocol::sysclient::auth::sha256_hex;
use crate::metrics::{self, Counter, ListingEvent, StrangerRecord, Strangers};
use crate::store::{Contact, DirectoryRecords, Listed, NewListing, Remembered, StoreError};

/// From this many open codes on the operator is warned: the chance of guessing one grows with their number.
pub const MANY_OPEN: u64 = 100_000;

/// The open codes are counted, and the warning is logged, at most once in this time.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// When to try again after too many open codes: some will have expired by then.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(60);

/// Draws for one free code at most. With 10^6 of 10^12 codes in use one draw fails once in a million, sixteen
/// practically never.
const DRAWS: usize = 16;

const MAX_KEY_BYTES: usize = 255;

/// The caller: the hash of a credential, or a name that cannot be a hash. Comes from [`DirectoryService::authenticate`]
/// only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller(Arc<str>);

impl Caller {
    /// Devices in this process.
    pub(super) fn local() -> Self {
        Self("local".into())
    }

    fn open() -> Self {
        Self("open".into())
    }
}

/// A request for a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueRequest {
    /// The address that the code should lead to.
    pub url: String,
    /// Long validity.
    pub rollout: bool,
}

/// Receives the number of open codes of all credentials.
type Gauge = Box<dyn Fn(u64) + Send + Sync>;

/// The directory without its HTTP endpoints.
pub struct DirectoryService {
    listings: Arc<dyn DirectoryRecords>,
    settings: DirectorySettings,
    accepted: Vec<(String, Caller)>,
    rates: Mutex<HashMap<Caller, PerSecond>>,
    counted: Mutex<Option<Tick>>,
    pace: Mutex<RecordPace>,
    gauge: Gauge,
}

impl DirectoryService {
    /// A directory on a store.
    pub fn new(listings: Arc<dyn DirectoryRecords>, settings: DirectorySettings) -> Result<Self, SettingsError> {
        let mut accepted = Vec::with_capacity(settings.credentials.len());
        for (number, hash) in settings.credentials.iter().enumerate() {
            let hash = hash.trim().to_ascii_lowercase();
            if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(SettingsError::CredentialHash(number + 1));
            }
            accepted.push((hash.clone(), Caller(hash.into())));
        }
        let (rates, counted, pace) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { listings, settings, accepted, rates, counted, pace, gauge: Box::new(|_| ()) })
    }

    /// Passes the number of open codes to `gauge` whenever it has been counted.
    #[must_use]
    pub fn with_gauge(mut self, gauge: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.gauge = Box::new(gauge);
        self
    }

    /// The settings that it was built with.
    pub const fn settings(&self) -> &DirectorySettings {
        &self.settings
    }

    /// The caller with this credential. Takes the same time for every credential, known or not.
    pub fn authenticate(&self, credential: Option<&Secret>) -> Result<Caller, DirectoryError> {
        let Some(credential) = credential else {
            return if self.settings.open { Ok(Caller::open()) } else { Err(DirectoryError::Unauthorized) };
        };
        let hash = sha256_hex(credential.expose().as_bytes());
        let mut found = None;
        for (accepted, caller) in &self.accepted {
            let same: Choice = accepted.as_bytes().ct_eq(hash.as_bytes());
            if bool::from(same) {
                found = Some(caller);
            }
        }
        if found.is_none() {
            metrics::count(Counter::Listing(ListingEvent::Unauthorized));
        }
        found.cloned().ok_or(DirectoryError::Unauthorized)
    }

    /// Issues a code for `caller`. `idempotency` is the key and the body that it belongs to: the same pair returns the
    /// same answer for ten minutes, another body with the same key is refused.
    pub async fn issue(
        &self,
        caller: &Caller,
        request: &IssueRequest,
        idempotency: Option<(&str, &[u8])>,
        now: Tick,
    ) -> Result<IssuedByDirectory, DirectoryError> {
        let issued = self.issue_once(caller, request, idempotency, now).await;
        metrics::count(Counter::Listing(match &issued {
            Ok(_) => ListingEvent::Listed,
            Err(DirectoryError::Refused(_) | DirectoryError::IdempotencyConflict) => ListingEvent::BadRequest,
            Err(DirectoryError::Unauthorized) => ListingEvent::Unauthorized,
            Err(DirectoryError::RateLimited { .. }) => ListingEvent::RateLimited,
            Err(DirectoryError::Unavailable(_)) => ListingEvent::Unavailable,
        }));
        issued
    }

    async fn issue_once(
        &self,
        caller: &Caller,
        request: &IssueRequest,
        idempotency: Option<(&str, &[u8])>,
        now: Tick,
    ) -> Result<IssuedByDirectory, DirectoryError> {
        // The operator's own address comes from the configuration; other callers may use plain ones only if allowed.
        let allow_ws = self.settings.allow_ws || *caller == Caller::local();
        check_address(&request.url, allow_ws).map_err(|e| DirectoryError::Refused(e.to_string()))?;
        let Some((key, body)) = idempotency else {
            return self.draw(caller, request, now).await;
        };
        if key.is_empty() || key.len() > MAX_KEY_BYTES || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(DirectoryError::Refused("Idempotency-Key is not 1 to 255 visible ASCII characters".into()));
        }
        let body = sha256_hex(body);
        if let Some(earlier) = self.listings.remembered_answer(&caller.0, key).await? {
            return same_answer(&earlier, &body);
        }
        let issued = self.draw(caller, request, now).await?;
        let answer = Remembered { body, code: issued.code, valid_until: issued.valid_until };
        // After a failure here the code stays listed: the store may have kept the answer and only its reply was lost,
        // and then the repeated request gets this code. Otherwise nobody knows it, and it expires.
        match self.listings.remember_answer(&caller.0, key, &answer).await? {
            None => Ok(issued),
            // The store client has repeated the operation itself.
            Some(earlier) if earlier == answer => Ok(issued),
            // The same request at the same time was faster: there must not be two codes for one key.
            Some(earlier) => {
                // If that fails, the code expires; nobody knows it.
                let _ = self.listings.remove_listing(issued.code, &caller.0).await;
                same_answer(&earlier, &answer.body)
            }
        }
    }

    /// Lists a code of another directory for `caller`, which leads to `url`. True also if it is listed already.
    pub(super) async fn list(
        &self,
        caller: &Caller,
        url: &str,
        code: Code,
        ttl: Duration,
    ) -> Result<bool, DirectoryError> {
        let new = NewListing { code, url: url.into(), credential: caller.0.to_string(), ttl };
        match self.listings.put_listing(&new, self.settings.max_open).await? {
            Listed::Until(_) => Ok(true),
            Listed::Taken => Ok(self.listings.find_listing(code).await?.is_some()),
            Listed::TooMany => Err(DirectoryError::RateLimited { retry_after: WAIT_FOR_ROOM }),
        }
    }

    /// Ends a code of `caller`; a code that is unknown or belongs to another caller is left as it is.
    pub async fn give_back(&self, caller: &Caller, code: Code) -> Result<(), DirectoryError> {
        if self.listings.remove_listing(code, &caller.0).await? {
            metrics::count(Counter::Listing(ListingEvent::GivenBack));
        }
        Ok(())
    }

    /// The address that an entered code leads to. For `None`, a text that is no code, it looks up a random one, so that
    /// the time does not tell the difference.
    pub async fn resolve(&self, code: Option<Code>) -> Result<Option<String>, DirectoryError> {
        let found = self.listings.find_listing(code.unwrap_or_else(crate::random::code)).await?;
        Ok(found.filter(|_| code.is_some()))
    }

    /// Records the contact of a phone from `source`. `entered` is a code that has been found valid. True for its first
    /// contact, also for one that is not recorded.
    ///
    /// The record is a convenience: a phone with a valid code gets its script without it, and strangers that come too
    /// fast are not recorded.
    pub async fn contact(
        &self,
        contact: &Contact,
        entered: Option<Code>,
        source: Option<SourceKey>,
        now: Tick,
    ) -> Result<bool, DirectoryError> {
        let pace = || self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if entered.is_none() && !pace().take(source, now) {
            metrics::count(Counter::StrangerRecord(Strangers::Contacts, StrangerRecord::Skipped));
            return Ok(true);
        }
        match self.listings.record_contact(contact, entered, source).await {
            Ok(recorded) => {
                if !recorded.first {
                    pace().give_back(source);
                }
                metrics::count_stranger(Strangers::Contacts, recorded.first, recorded.kept, recorded.evicted);
                Ok(recorded.first)
            }
            // An old record that nobody can read must not keep a phone from being provisioned.
            Err(StoreError::Corrupt { key, why }) => {
                tracing::error!(%key, %why, "phone record unreadable");
                Ok(false)
            }
            Err(error) if entered.is_some() => {
                tracing::debug!(%error, "contact of a phone with a valid code not recorded");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Counts the open codes at most once a minute, passes the number to the gauge and logs a warning if they are many;
    /// `None`: not counted yet again. Called after each issued code and by a timer, so that the number falls when
    /// nothing is issued.
    pub async fn count_open(&self, now: Tick) -> Result<Option<u64>, DirectoryError> {
        {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            if counted.is_some_and(|at| now.since(at) < COUNT_EVERY) {
                return Ok(None);
            }
            *counted = Some(now);
        }
        let open = self.listings.open_listings().await?;
        (self.gauge)(open);
        if open >= MANY_OPEN {
            tracing::warn!(open, "many open codes: the chance of guessing one grows with their number");
        }
        Ok(Some(open))
    }

    async fn draw(
        &self,
        caller: &Caller,
        request: &IssueRequest,
        now: Tick,
    ) -> Result<IssuedByDirectory, DirectoryError> {
        self.take_rate(caller, now)?;
        let ttl = if request.rollout { self.settings.rollout_ttl } else { self.settings.ttl };
        for _ in 0..DRAWS {
            let code = crate::random::code();
            let new = NewListing { code, url: request.url.clone(), credential: caller.0.to_string(), ttl };
            match self.listings.put_listing(&new, self.settings.max_open).await? {
                Listed::Until(valid_until) => {
                    // A failed count is no reason to refuse a code that is listed.
                    let _ = self.count_open(now).await;
                    return Ok(IssuedByDirectory { code, valid_until });
                }
                Listed::Taken => {}
                Listed::TooMany => return Err(DirectoryError::RateLimited { retry_after: WAIT_FOR_ROOM }),
            }
        }
        Err(DirectoryError::Unavailable("no free code found".into()))
    }

    fn take_rate(&self, caller: &Caller, now: Tick) -> Result<(), DirectoryError> {
        // Devices in this process has its own limits: codes per connection, and open codes per domain.
        if *caller == Caller::local() {
            return Ok(());
        }
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        // Callers are the accepted credentials and two fixed names, so the configuration bounds this map.
        let rate = rates.entry(caller.clone()).or_insert_with(|| PerSecond::new(self.settings.codes_per_second));
        rate.take(now).map_err(|retry_after| DirectoryError::RateLimited { retry_after })
    }
}

fn same_answer(earlier: &Remembered, body: &str) -> Result<IssuedByDirectory, DirectoryError> {
    if earlier.body == body {
        Ok(IssuedByDirectory { code: earlier.code, valid_until: earlier.valid_until })
    } else {
        Err(DirectoryError::IdempotencyConflict)
    }
}

impl From<StoreError> for DirectoryError {
    /// The details are for the operator's log, not for the caller.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => tracing::debug!(%why, "directory: store unavailable"),
            StoreError::Corrupt { key, why } => tracing::error!(%key, %why, "directory record unreadable"),
            StoreError::OverQuota(over) => tracing::debug!(%over, "directory: quota"),
        }
        Self::Unavailable("try again later".into())
    }
}
