//! What the broker remembers, as traits; one implementation on Redis, one on a single file.
//!
//! The traits speak of codes, devices and notices, never of keys or transactions. A thing that is not there is `Ok(None)`.
//! Every validity is counted on the clock of the store. Each operation happens whole or not at all; each may be
//! repeated after a time-out without harm.

mod accounts;
mod codebook;
mod connect;
mod directory;
pub mod embedded;
mod fanout;
mod figures;
mod fleet;
mod locks;
mod observed;
mod record;
pub mod redis;
pub mod seal;
mod tenancy;
mod timelines;
mod tls_ticket_keys;
mod users_role;
pub mod xchacha;

pub use accounts::{
    AUDIT_KEPT, Accounts, Audit, MAX_ACCOUNTS, MAX_AUDIT_ENTRIES, MAX_SESSIONS, PutAccount, SEEN_EVERY, SessionHash,
    WebSessions,
};
pub use codebook::{CodeBook, CodeListing, Rollout, RolloutRow};
pub use connect::{OpenError, Options, connect};
pub use directory::{CODE_SPENT, CONTACT_KEPT, Contact, Listed, Listings, NewListing, REMEMBERED, Remembered};
pub use figures::{Figures, Totals};
pub use fleet::{Fleet, Listing, Offer, UnassignedListing};
pub use locks::Locks;
pub use tenancy::{Deleted, DomainChange, PutCategory, Tenancy};
pub use timelines::Timelines;
pub use tls_ticket_keys::{TicketKey, TicketKeys};
pub use users_role::{DeadOrder, KEEP_OVER, OrderCounts, Orders, Placed, PutRequest, Requests};

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::core::model::device::{Device, Domain, Facts, IssuedCode, Notice, Requester, UnassignedDevice, Way};
use crate::core::model::ids::{CategoryId, Code, ConnId, DeviceKey, DomainName, NodeId, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::Changed;

/// Why the store did not do what it was asked.
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
}

/// Result of a store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A domain to be made at start.
#[derive(Debug, Clone)]
pub struct NewDomain {
    /// Name.
    pub name: DomainName,
    /// Password for app connections.
    pub password: Secret,
    /// Administrative password; empty: none.
    pub admin_password: Secret,
    /// Token of automatic provisioning; empty: off.
    pub auto_token: Secret,
    /// Names of its categories, and whether each is marked for provisioning.
    pub categories: Vec<(Box<str>, bool)>,
}

/// Domains and their categories.
#[async_trait]
pub trait Domains: Send + Sync {
    /// Makes the domain if it is missing, and those of its categories that are missing. What is there stays as it is.
    /// Several nodes may call it at once.
    async fn ensure_domain(&self, new: &NewDomain) -> Result<Domain>;

    /// One domain with its categories.
    async fn domain(&self, name: &DomainName) -> Result<Option<Domain>>;

    /// All domains with their categories, sorted by number.
    async fn domains(&self) -> Result<Vec<Domain>>;
}

/// A code to be kept.
#[derive(Debug, Clone)]
pub struct CodeRecord {
    /// The code, made by the directory.
    pub code: Code,
    /// The domain that a device enters with it.
    pub domain: DomainName,
    /// The category that it enters.
    pub category: CategoryId,
    /// SIP name of the user.
    pub sip: Option<Box<str>>,
    /// Who asked.
    pub requester: Requester,
    /// The node with the connection that asked; `None`: nobody waits for the notice.
    pub holder: Option<NodeId>,
    /// Long validity.
    pub rollout: bool,
    /// End of validity as the directory said.
    pub valid_until: UnixMillis,
}

/// What became of [`Codes::put_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutCode {
    /// It is kept.
    Kept,
    /// A record of this code is there already; it stays.
    Exists,
    /// The domain has `max_open` open codes of this kind (short or roll-out).
    TooMany,
}

/// Codes as Devices keeps them. A code whose time is over and which nobody used is gone.
#[async_trait]
pub trait Codes: Send + Sync {
    /// Keeps a new code until `valid_until`, unless the domain already has `max_open` open codes of its kind.
    async fn put_code(&self, new: &CodeRecord, max_open: u64) -> Result<PutCode>;

    /// Looks a code up by itself, as a device brings it: any domain, open or used, but only within its validity.
    async fn find_code(&self, code: Code) -> Result<Option<IssuedCode>>;

    /// Looks a code up in a domain, as Users asks: open within its validity, used ones for 30 days.
    async fn code_in(&self, domain: &DomainName, code: Code) -> Result<Option<IssuedCode>>;

    /// Notes that a connection of `node` waits for the notice of this code (also of one that is in the mailbox).
    async fn hold_code(&self, domain: &DomainName, code: Code, node: &NodeId) -> Result<()>;
}

/// What lets a device in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryRight {
    /// An open code, or one that this very device has used while its password is tentative. It is used up.
    Code(Code),
    /// The query of automatic provisioning, already checked.
    Auto,
    /// An administrator's order.
    Manual,
}

impl EntryRight {
    /// The way of entry that is recorded.
    pub const fn way(&self) -> Way {
        match self {
            Self::Code(_) => Way::Code,
            Self::Auto => Way::Auto,
            Self::Manual => Way::Manual,
        }
    }
}

/// An entry into a domain (`docs/protocol/sysclient.md` 5.1).
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who enters.
    pub key: DeviceKey,
    /// Which domain.
    pub domain: DomainName,
    /// Which category.
    pub category: CategoryId,
    /// By which right.
    pub ticket: EntryRight,
    /// The new device password.
    pub password: Secret,
    /// The random administrative password, for [`EntryRight::Auto`].
    pub admin_password: Option<Secret>,
    /// What the device says of itself.
    pub facts: Facts,
}

/// What became of an entry.
#[derive(Debug, Clone)]
pub enum Entered {
    /// The device is in, whole: record written, code used up, password tentative, and for a code the notice pending.
    In(Box<Device>),
    /// The code is not open (any more), is of another domain, or was used by another device. Nothing has changed.
    CodeNotOpen,
    /// The device belongs to another domain. Nothing has changed; the code is still open.
    OwnedElsewhere,
}

/// An analogue port to be put into operation with a code (`docs/protocol/sysclient.md` 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortClaim {
    /// The port is recorded, the code used up, and the notice is in the mailbox.
    Recorded,
    /// The code is not open.
    CodeNotOpen,
    /// The code is open, but of another domain. It stays open.
    WrongDomain,
}

/// Devices and who owns them.
#[async_trait]
pub trait Devices: Send + Sync {
    /// The record of a device that belongs to a domain.
    async fn find_device(&self, key: &DeviceKey) -> Result<Option<Device>>;

    /// Lets a device into a domain: one transaction. A device of the same domain enters again: new password, new category,
    /// its number stays. The same device may bring the same code again until [`Devices::confirm`].
    async fn enter(&self, entry: &Entry) -> Result<Entered>;

    /// The device has answered a challenge with `password`: it is no longer tentative. Nothing happens if it has a newer one.
    async fn confirm(&self, domain: &DomainName, key: &DeviceKey, password: &Secret) -> Result<()>;

    /// Replaces what a member says of itself.
    async fn refresh(&self, domain: &DomainName, key: &DeviceKey, facts: &Facts) -> Result<()>;

    /// Forgets a device: record, password and ownership. False if it was not in this domain.
    async fn remove(&self, domain: &DomainName, key: &DeviceKey) -> Result<bool>;

    /// Uses up a code for an analogue port of a member and puts the notice into the mailbox.
    async fn claim_port(&self, domain: &DomainName, key: &DeviceKey, port: &str, code: Code) -> Result<PortClaim>;

    /// Records or refreshes a device that belongs to no domain. It is forgotten after `keep`, or when it enters one.
    async fn record_unassigned(&self, key: &DeviceKey, facts: &Facts, keep: Duration) -> Result<()>;
}

/// The mailbox of a domain: notices on their way to Users (`docs/protocol/devices-api.md` 2.5).
#[async_trait]
pub trait Mailbox: Send + Sync {
    /// Moves the pending code of a device into the mailbox. False if none is pending. May be repeated.
    async fn deposit(&self, domain: &DomainName, key: &DeviceKey) -> Result<bool>;

    /// Deposits for every device whose code has been pending for longer than `age`. Returns how many.
    async fn deposit_overdue(&self, domain: &DomainName, age: Duration) -> Result<u64>;

    /// Takes up to `limit` notices for delivery by `node`: those addressed to it, to nobody, or to a node that is not alive,
    /// and not taken by another live node within `lease`. They stay in the mailbox until settled.
    /// `skip` are the codes that the caller has on the way already.
    async fn take(
        &self,
        domain: &DomainName,
        node: &NodeId,
        lease: Duration,
        limit: usize,
        skip: &[Code],
    ) -> Result<Vec<Notice>>;

    /// Gives taken notices back: anybody who acts as Users may have them now.
    async fn release(&self, domain: &DomainName, node: &NodeId, codes: &[Code]) -> Result<()>;

    /// The notices have been delivered; they leave the mailbox.
    async fn settle(&self, domain: &DomainName, codes: &[Code]) -> Result<()>;

    /// How many notices wait.
    async fn depth(&self, domain: &DomainName) -> Result<u64>;
}

/// A connection on some node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// The node.
    pub node: NodeId,
    /// The connection there.
    pub conn: ConnId,
}

/// Which node holds which member. A device is online if the lease of its node lives.
#[async_trait]
pub trait Presence: Send + Sync {
    /// Renews the lease of a node for `ttl`.
    async fn renew_lease(&self, node: &NodeId, ttl: Duration) -> Result<()>;

    /// Ends the lease of a node that stops.
    async fn end_lease(&self, node: &NodeId) -> Result<()>;

    /// A device has become a member on a connection. Returns the connection that it replaces, on whatever node.
    async fn attach(&self, domain: &DomainName, key: &DeviceKey, at: &Whereabouts) -> Result<Option<Whereabouts>>;

    /// A member's connection has ended. Nothing happens if another connection has replaced it.
    async fn detach(&self, domain: &DomainName, key: &DeviceKey, at: &Whereabouts) -> Result<()>;

    /// Where a device is online now.
    async fn whereabouts(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Whereabouts>>;
}

/// A message between nodes. Losing one costs time, never data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// Something new is in the mailbox of this domain.
    Mail {
        /// The domain.
        domain: DomainName,
        /// The code that a device has just used, if it is about one.
        code: Option<Code>,
    },
    /// A device has become a member elsewhere: close this connection if it is still there.
    Evict {
        /// Domain of the device.
        domain: DomainName,
        /// The device.
        key: DeviceKey,
        /// The node that held it.
        node: NodeId,
        /// The connection there.
        conn: ConnId,
    },
    /// Settings, categories or jobs of a domain have changed, or it is new or gone.
    Tenant {
        /// The domain.
        domain: DomainName,
    },
    /// What clients see of these devices has changed: online, version, name, category, or they have just entered.
    Changed {
        /// Their domain.
        domain: DomainName,
        /// The devices.
        keys: Vec<DeviceKey>,
    },
    /// A device has left a domain.
    Gone {
        /// The domain that it has left.
        domain: DomainName,
        /// What was last known of it.
        device: Box<UnassignedDevice>,
    },
    /// The number of unassigned devices has changed, or one of them has.
    ListUnassigned,
    /// An operator has changed whom a device belongs to: its connection has to look at the record again.
    Recheck {
        /// The node that holds the connection.
        node: NodeId,
        /// The connection there.
        conn: ConnId,
    },
    /// Requests for phones have changed.
    People {
        /// Their domain.
        domain: DomainName,
        /// What has changed.
        changed: Vec<Changed>,
    },
    /// The line to the other nodes was down and is up again: signals may have been lost.
    Gap,
}

/// Signals between nodes.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Tells every node, this one included.
    async fn publish(&self, signal: &Signal) -> Result<()>;

    /// Everything that is published from now on. The receiver gets [`Signal::Gap`] after an interruption.
    fn subscribe(&self) -> tokio::sync::mpsc::Receiver<Signal>;
}

/// All of it, on one backend.
#[async_trait]
pub trait Store:
    Domains
    + Tenancy
    + Codes
    + CodeBook
    + Devices
    + Fleet
    + Timelines
    + Mailbox
    + Presence
    + Figures
    + Listings
    + TicketKeys
    + Locks
    + Requests
    + Orders
    + Accounts
    + WebSessions
    + Audit
    + Bus
{
    /// Whether the store answers and takes writes.
    async fn ping(&self) -> Result<()>;

    /// The clock of the store.
    async fn now(&self) -> Result<UnixMillis>;
}
