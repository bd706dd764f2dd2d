//! The directory: maps a code to the address of Devices (`docs/protocol/directory.md`).
//!
//! [`DirectoryService`] implements the rules; the HTTP endpoints (`src/web/directory.rs`) and [`LocalDirectory`] call
//! it. Devices uses the trait [`Directory`], behind which is this process ([`LocalDirectory`]) or another one
//! ([`RemoteDirectory`]).
//!
//! It must not know what a code means to Devices, and it serves no HTTP itself.

mod address;
mod local;
mod remote;
mod service;

use std::time::Duration;

use async_trait::async_trait;

use crate::core::model::ids::Code;
use crate::core::model::time::UnixMillis;

pub use address::{AddressFault, check_address};
pub use local::LocalDirectory;
pub use remote::{MAX_WAIT, RemoteDirectory};
pub use service::{Caller, DirectoryService, IssueRequest, MANY_OPEN};

/// Largest body of a request or answer, in bytes (`docs/protocol/directory.md` 3.3).
pub const MAX_BODY: usize = 4096;

/// A code as the directory has issued it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuedByDirectory {
    /// The code.
    pub code: Code,
    /// End of validity in whole seconds, on the clock of the directory; Devices stores it unchanged.
    pub valid_until: UnixMillis,
}

/// Why the directory did not carry out a request. No text in it contains a code, a credential or an address of a
/// caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// The request breaks a rule of the protocol; repeating it does not help.
    #[error("the directory refuses the request: {0}")]
    Refused(String),
    /// No credential, or none that the directory knows.
    #[error("the directory does not accept the credential")]
    Unauthorized,
    /// The idempotency key was used with another request within the last ten minutes.
    #[error("the idempotency key belongs to another request")]
    IdempotencyConflict,
    /// Too many codes per second, or too many open ones.
    #[error("the directory asks to wait {} s", .retry_after.as_secs())]
    RateLimited {
        /// Wait before the next attempt.
        retry_after: Duration,
    },
    /// No answer in time, or an unreadable one: try again later.
    #[error("directory unavailable: {0}")]
    Unavailable(String),
}

/// What Devices requests from its directory. The address that a code leads to is a setting of the implementation.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Issues a code. The same `idempotency_key` with the same `rollout` returns the same code for ten minutes, so the
    /// call may be repeated after a time-out.
    async fn issue(&self, rollout: bool, idempotency_key: &str) -> Result<IssuedByDirectory, DirectoryError>;

    /// Lists a code that another directory has issued, for this long. Only a directory in this process
    /// does so. False if the code is over here: it was listed before, and has ended since.
    async fn list(&self, code: Code, ttl: Duration) -> Result<bool, DirectoryError>;

    /// Whether [`Directory::list`] is possible at all.
    fn lists(&self) -> bool;

    /// The address that its codes lead to, as the directory is told.
    fn address(&self) -> &str;

    /// Ends a code. A code that is unknown or belongs to another caller is no error. A failure is harmless: the code
    /// expires.
    async fn give_back(&self, code: Code) -> Result<(), DirectoryError>;
}

/// Settings of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySettings {
    /// Validity of a code.
    pub ttl: Duration,
    /// Validity of a roll-out code.
    pub rollout_ttl: Duration,
    /// SHA-256 (hex) of each accepted credential.
    pub credentials: Vec<String>,
    /// Serves callers without a credential too; for closed networks. A credential that is sent is checked nevertheless.
    pub open: bool,
    /// `ws://` addresses are accepted. For loopback hosts they always are.
    pub allow_ws: bool,
    /// Codes per second and credential.
    pub codes_per_second: u32,
    /// Open codes per credential.
    pub max_open: u64,
}

impl Default for DirectorySettings {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10 * 60),
            rollout_ttl: Duration::from_secs(7 * 24 * 3600),
            credentials: Vec::new(),
            open: false,
            allow_ws: false,
            codes_per_second: 1000,
            max_open: 1_000_000,
        }
    }
}

/// A setting that a directory cannot be built with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// An accepted credential is not a SHA-256 in hex.
    #[error("accepted credential number {0} is not a SHA-256 of 64 hex digits")]
    CredentialHash(usize),
    /// The address that codes should lead to.
    #[error("address of Devices: {0}")]
    Address(#[from] AddressFault),
    /// The base address of a remote directory.
    #[error("base address of the directory: {0}")]
    Base(&'static str),
    /// The credential is not valid in a header.
    #[error("the credential contains characters that a header cannot have")]
    Credential,
    /// The HTTP client cannot be built.
    #[error("HTTP client: {0}")]
    Client(String),
}
