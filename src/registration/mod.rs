//! Issuing and claiming: the only caller of the stores' code and device-ownership traits.
//!
//! What may happen is decided in `core::entry`; here it is looked up, drawn and made true.

mod assign;
pub mod attempt_limiter;
mod claim;
pub(crate) mod new_code;
mod timeline_writer;

use std::sync::Arc;
use std::time::Duration;

use crate::core::model::ids::NodeId;
use crate::directory::Directory;
use crate::registration::attempt_limiter::AttemptLimiter;
use crate::registration::timeline_writer::TimelineWriter;
use crate::store::Store;
use crate::tenant_cache::Tenants;

pub use claim::{ClaimRequest, Known};
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

/// The service behind device and app connections of one node.
pub struct RegistrationService {
    pub(crate) node: NodeId,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tenants: Arc<Tenants>,
    directory: Arc<dyn Directory>,
    attempt_limiter: Arc<AttemptLimiter>,
    limits: CodeLimits,
    steps: TimelineWriter,
}

impl RegistrationService {
    /// Over a store and a directory; within a runtime.
    pub fn new(
        node: NodeId,
        store: Arc<dyn Store>,
        tenants: Arc<Tenants>,
        directory: Arc<dyn Directory>,
        attempt_limiter: Arc<AttemptLimiter>,
        limits: CodeLimits,
    ) -> Self {
        let steps = TimelineWriter::to(Arc::clone(&store) as _);
        Self { node, store, tenants, directory, attempt_limiter, limits, steps }
    }

    /// How long an unassigned device is remembered.
    pub const fn keep_unassigned(&self) -> Duration {
        self.limits.keep_unassigned
    }

    /// The wrong attempts of this node.
    pub fn attempt_limiter(&self) -> &AttemptLimiter {
        &self.attempt_limiter
    }
}
