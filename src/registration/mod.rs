//! Registration of devices and issuing of codes (`docs/protocol/sysclient.md` sections 5 and 6).
//!
//! Whether a device may enter is decided in `src/core/policy/entry.rs`. This service reads the records for that
//! decision, draws passwords and codes, and writes the outcome to the store. It counts wrong attempts and writes the
//! timelines of codes and devices.
//!
//! It answers no requests of people or apps: those of app connections are in `src/app_connection/queries`, those of
//! operators in `src/admin`.

mod assign;
mod carried;
mod claim;
mod new_code;
mod strangers;
mod timeline_writer;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::attempts::AttemptService;
use crate::core::policy::record_pace::RecordPace;
use crate::directory::Directory;
use crate::registration::timeline_writer::TimelineWriter;
use crate::store::Store;
use crate::tenant_cache::Tenants;

pub use carried::Admitted;
pub use claim::{Claim, ClaimRequest, Known, Later, Offered, PortOutcome, Turn};
pub use new_code::{CodeRequest, NewCode, NoCode};

/// Limits for codes and unassigned devices.
#[derive(Debug, Clone, Copy)]
pub struct CodeLimits {
    /// Open short codes per domain.
    pub max_open: u64,
    /// Open roll-out codes per domain.
    pub max_open_rollout: u64,
    /// An unassigned device is forgotten after this time.
    pub keep_unassigned: Duration,
}

/// The registrations of one node.
pub struct RegistrationService {
    store: Arc<dyn Store>,
    tenants: Arc<Tenants>,
    directory: Arc<dyn Directory>,
    attempts: Arc<AttemptService>,
    limits: CodeLimits,
    pace: Mutex<RecordPace>,
    timeline_writer: TimelineWriter,
}

impl RegistrationService {
    /// Over a store and a directory. Has to be called within a runtime.
    pub fn new(
        store: Arc<dyn Store>,
        tenants: Arc<Tenants>,
        directory: Arc<dyn Directory>,
        attempts: Arc<AttemptService>,
        limits: CodeLimits,
    ) -> Self {
        let timeline_writer = TimelineWriter::start(Arc::clone(&store) as _);
        Self { store, tenants, directory, attempts, limits, pace: Mutex::default(), timeline_writer }
    }

    /// How long an unassigned device is remembered.
    pub const fn keep_unassigned(&self) -> Duration {
        self.limits.keep_unassigned
    }

    /// Attempts at secrets on this node.
    pub fn attempts(&self) -> &AttemptService {
        &self.attempts
    }
}
