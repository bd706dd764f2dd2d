//! What the directory keeps: its codes, answers to repeated requests, and contacts of phones
//! (`docs/protocol/directory.md` section 5). What Devices keeps of a code is in `codes.rs`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::observed::store_trait;
use super::{Recorded, Result};
use crate::core::model::ids::Code;
use crate::core::model::time::UnixMillis;
use crate::core::policy::limits::SourceKey;

/// A directory code is not issued again for this long after its end (`docs/protocol/directory.md` 3.1).
pub const CODE_SPENT: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the directory keeps of a phone is kept this long after the last contact
/// (`docs/protocol/directory.md` section 5).
pub const CONTACT_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// An answer to an `Idempotency-Key` is remembered this long (`docs/protocol/directory.md` 3.1).
pub const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// A directory code to be kept.
#[derive(Debug, Clone)]
pub struct NewListing {
    /// The code.
    pub code: Code,
    /// The address of Devices.
    pub url: String,
    /// The credential that listed it (hash, hex).
    pub credential: String,
    /// How long it is valid.
    pub ttl: Duration,
}

/// Result of [`DirectoryRecords::put_listing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// It is kept until this time; whole seconds.
    Until(UnixMillis),
    /// The code is in use, or was within the last 30 days: the caller draws another one.
    Taken,
    /// The credential has `max_open` open codes.
    TooMany,
}

/// A remembered answer to an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Hash of the request body, hex.
    pub body: String,
    /// The code in the answer.
    pub code: Code,
    /// Its end of validity.
    pub valid_until: UnixMillis,
}

/// What the directory keeps of a phone: exactly the documented items (`docs/protocol/directory.md` section 5).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contact {
    /// MAC address, twelve digits.
    pub mac: Box<str>,
    /// Phone model.
    pub model: Option<Box<str>>,
    /// Firmware version.
    pub firmware: Option<Box<str>>,
    /// Boot code version.
    pub bootcode: Option<Box<str>>,
    /// Local IP address.
    pub ip: Option<Box<str>>,
}

store_trait! {
    /// What the directory keeps: code → address, keyed by HMAC and sealed, and the first contact of phones.
    pub trait DirectoryRecords: Send + Sync {
        /// Keeps a code if it is free.
        async fn put_listing(&self, new: &NewListing, max_open: u64) -> Result<Listed> => List;

        /// The address of an open code.
        async fn find_listing(&self, code: Code) -> Result<Option<String>> => LookUp;

        /// Ends a code; only the credential that listed it may. False if it is unknown or of another credential.
        async fn remove_listing(&self, code: Code, credential: &str) -> Result<bool> => Unlist;

        /// Remembers an answer for ten minutes. Returns the earlier one if there is one already.
        async fn remember_answer(
            &self,
            credential: &str,
            key: &str,
            answer: &Remembered,
        ) -> Result<Option<Remembered>> => Remember;

        /// The remembered answer, if any.
        async fn remembered_answer(&self, credential: &str, key: &str) -> Result<Option<Remembered>> => Recall;

        /// Records a contact from `source` for 30 days; the time stamp of the first one is the store's and stays. An
        /// entered code that is valid is kept with it, as a keyed hash, until the code ends; from then on the record is
        /// no stranger's. Those of strangers give way to newer ones ([`super::Limits::contacts`]).
        async fn record_contact(
            &self,
            contact: &Contact,
            entered: Option<Code>,
            source: Option<SourceKey>,
        ) -> Result<Recorded> => Contact;

        /// How many records of strangers there are.
        async fn stranger_contacts(&self) -> Result<u64> => StrangerContacts;

        /// How many open codes there are over all credentials (for the operator's warning at 100 000).
        async fn open_listings(&self) -> Result<u64> => OpenListings;
    }
}
