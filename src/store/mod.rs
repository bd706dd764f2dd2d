//! What the broker stores: one trait for each aggregate, with one implementation on Redis and one in a single file.
//!
//! The traits speak of codes, devices and notices, never of keys or transactions. Each operation happens whole or not
//! at all, and may be repeated after a time-out without harm. Every validity is counted on the clock of the store.
//! What does not exist is `Ok(None)`, never an error.
//!
//! A trait and its two implementations are in files of the same name: `codes.rs`, `redis/codes.rs`,
//! `embedded/codes.rs`.

mod accounts;
mod attempts;
mod audit_log;
mod bounds;
mod bundles;
mod bus;
mod code_name;
mod codes;
mod connect;
mod devices;
mod directory;
mod domains;
pub mod embedded;
mod fanout;
mod figures;
mod instance_keys;
mod jobs;
mod keyring;
mod locks;
mod mailbox;
mod misdirected;
mod observed;
mod offers;
mod options;
mod presence;
mod record;
pub mod redis;
mod rollout_row;
mod rollouts;
mod schema;
pub mod seal;
mod timelines;
mod tls_ticket_keys;
mod unassigned;
mod users_role;
mod web_sessions;
pub mod xchacha;

pub use accounts::{Accounts, MAX_ACCOUNTS, PutAccount};
pub use attempts::{Attempts, COUNTED_OVER};
pub use audit_log::{AUDIT_KEPT, AuditLog, MAX_AUDIT_ENTRIES};
pub use bounds::{CONTACT_RENEWED, Limits, PHONES_PER_CODE, RecordCaps, Recorded, SOURCE_KNOWN, UNASSIGNED_RENEWED};
pub use bundles::Bundles;
pub use bus::{Bus, Signal};
pub use codes::{CodeListing, CodeRecord, Codes, PutCode};
pub use connect::connect;
pub use devices::{DeviceListing, Devices, Entered, Entry, EntryRight, PortClaim};
pub use directory::{CODE_SPENT, CONTACT_KEPT, Contact, DirectoryRecords, Listed, NewListing, REMEMBERED, Remembered};
pub use domains::{Deleted, DomainChange, Domains, NewDomain, PutCategory};
pub use figures::{Figures, Totals};
pub use instance_keys::{InstanceKeys, KeyStatus, Rotation};
pub use jobs::Jobs;
pub use keyring::{KeySource, MasterKeys};
pub use locks::Locks;
pub use mailbox::Mailbox;
pub use misdirected::{MAX_MISDIRECTED, MISDIRECTED_KEPT, Misdirected, MisdirectedDevices};
pub use offers::{Offer, Offers};
pub use options::{MigrationOptions, OpenError, Options};
pub use presence::{Presence, Whereabouts};
pub use rollouts::{Rollout, RolloutRow, Rollouts};
pub use schema::{MigrationState, Pace, Schema, SchemaStatus, Step, VERSION};
pub use timelines::Timelines;
pub use tls_ticket_keys::{TicketKey, TlsTicketKeys};
pub use unassigned::{UnassignedDevices, UnassignedListing};
pub use users_role::{
    EntryOrders, FailedOrder, KEEP_OVER, OrderCounts, PhoneRequests, Placed, PutRequest, Turns, UsersRoleRollouts,
};
pub use web_sessions::{MAX_SESSIONS, SEEN_EVERY, SessionHash, WebSessions};

use self::observed::store_trait;
use crate::core::model::quota::OverQuota;
use crate::core::model::time::UnixMillis;

/// Why an operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No answer within the deadline, no connection, or a refused write: try again later. Nothing is half done.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// A record could not be read: written by another version, or sealed with another key.
    #[error("record {key} unreadable: {why}")]
    Corrupt {
        /// Which record; never a secret.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// A domain has as much as it may have. Nothing has changed.
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
}

/// Result of a store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

store_trait! {
    /// All traits of a store, on one backend. Callers that need only some of them take those, for example `&dyn Codes`.
    pub trait Store:
        Accounts
        + Attempts
        + AuditLog
        + Bundles
        + Bus
        + Codes
        + Devices
        + DirectoryRecords
        + Domains
        + EntryOrders
        + Figures
        + InstanceKeys
        + Jobs
        + Locks
        + Mailbox
        + MisdirectedDevices
        + Offers
        + UsersRoleRollouts
        + PhoneRequests
        + Presence
        + Rollouts
        + Schema
        + Timelines
        + TlsTicketKeys
        + Turns
        + UnassignedDevices
        + WebSessions
    {
        /// Whether the store answers and accepts writes.
        async fn ping(&self) -> Result<()> => Ping;

        /// The clock of the store.
        async fn now(&self) -> Result<UnixMillis> => Now;
    }
}
