//! How much a store keeps at most: records of strangers, and what each domain may have.
//!
//! A record of a stranger belongs to the source that it came from first. If there is no room for a new one, the source
//! with the most records gives way with its oldest, and if all sources have only one, the oldest of all goes. So nobody
//! displaces the records of somebody who has fewer. The source is known by a hash with a key of the store that is
//! forgotten after [`SOURCE_KNOWN`] (`docs/protocol/directory.md` section 5).

use std::time::Duration;

use super::seal::Sealer;
use crate::core::model::quota::Quotas;
use crate::core::policy::limits::SourceKey;

/// How long a source is recognised.
pub const SOURCE_KNOWN: Duration = Duration::from_secs(24 * 3600);

/// An unchanged record of an unassigned device is written at most this often.
pub const UNASSIGNED_RENEWED: Duration = Duration::from_secs(60);

/// An unchanged record of a contact is written at most this often.
pub const CONTACT_RENEWED: Duration = Duration::from_secs(3600);

/// So many phones that enter the same code are no strangers; a code lets one of them in.
pub const PHONES_PER_CODE: u64 = 16;

/// The codes of a domain are counted for this long.
pub(super) const CODES_COUNTED: Duration = Duration::from_secs(24 * 3600);

/// How many records of strangers there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordCaps {
    /// Over all sources.
    pub most: u64,
    /// Of one source.
    pub per_source: u64,
}

/// What a store keeps at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Unassigned devices.
    pub unassigned: RecordCaps,
    /// Contacts of phones at the directory that have entered no valid code.
    pub contacts: RecordCaps,
    /// What a domain may have.
    pub quotas: Quotas,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unassigned: RecordCaps { most: 10_000, per_source: 1000 },
            contacts: RecordCaps { most: 20_000, per_source: 5000 },
            quotas: Quotas::default(),
        }
    }
}

/// What became of a stranger's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// There was none before.
    pub first: bool,
    /// There is one now. False if the store is full.
    pub kept: bool,
    /// How many records gave way to it.
    pub evicted: u64,
}

/// The keyed hash of a source. The store hashes it once more, with a key that it forgets.
pub(super) fn source_hash(sealer: &Sealer, source: Option<SourceKey>) -> String {
    sealer.hash("source of a record", &source.map(SourceKey::exposed).unwrap_or_default())
}
