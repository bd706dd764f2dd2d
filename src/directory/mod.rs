//! The directory: code → address of Devices (`docs/protocol/directory.md`).
//!
//! [`DirectoryService`] has the rules; the HTTP endpoints (`web::directory`) and [`LocalDirectory`] call it. Devices sees
//! neither: it asks a [`Directory`], which is this process or another one ([`RemoteDirectory`]).
//!
//! Nothing here knows what a code means to Devices, or speaks HTTP as a server.

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

/// A code as the directory made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuedByDirectory {
    /// The code.
    pub code: Code,
    /// End of validity in whole seconds, on the clock of the directory; Devices takes it as it is.
    pub valid_until: UnixMillis,
}

/// Why the directory did not do what it was asked. No text in it contains a code, a credential or an address of a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// The request breaks a rule of the protocol; asking again is no use.
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
        /// When to ask again.
        retry_after: Duration,
    },
    /// No answer in time, or none that can be understood: try again later.
    #[error("directory unavailable: {0}")]
    Unavailable(String),
}

/// What Devices asks of its directory. The address that a code leads to is a setting of the implementation.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Makes a code. The same `idempotency_key` with the same `rollout` gives the same code for ten minutes, so the call may be
    /// repeated after a time-out.
    async fn issue(&self, rollout: bool, idempotency_key: &str) -> Result<IssuedByDirectory, DirectoryError>;

    /// Ends a code. A code that is unknown or another's is no error. Failure is harmless: the code ends by its time.
    async fn give_back(&self, code: Code) -> Result<(), DirectoryError>;
}

/// Settings of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySettings {
    /// Validity of a code.
    pub ttl: Duration,
    /// Validity of a roll-out code.
    pub rollout_ttl: Duration,
    /// SHA-256 (hex) of every credential that is accepted.
    pub credentials: Vec<String>,
    /// Whoever sends no credential is served too; for closed networks. A credential that is sent is checked all the same.
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

/// A setting with which no directory can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// An accepted credential is not a SHA-256 in hex.
    #[error("accepted credential number {0} is not a SHA-256 of 64 hex digits")]
    CredentialHash(usize),
    /// The address that codes shall lead to.
    #[error("address of Devices: {0}")]
    Address(#[from] AddressFault),
    /// The base address of a remote directory.
    #[error("base address of the directory: {0}")]
    Base(&'static str),
    /// The credential cannot stand in a header.
    #[error("the credential contains characters that a header cannot have")]
    Credential,
    /// The HTTP client.
    #[error("HTTP client: {0}")]
    Client(String),
}
