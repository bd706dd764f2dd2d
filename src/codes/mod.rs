//! Issuing and claiming: the only caller of the stores' code and device-ownership traits.
//!
//! What may happen is decided in `core::entry`; here it is looked up, drawn and made true.

mod assign;
pub mod attempts;
mod claim;
mod fleet;
mod issue;
mod make;
mod steps;
pub mod tenants;

use std::sync::Arc;
use std::time::Duration;

use crate::codes::attempts::Ledger;
use crate::codes::steps::Steps;
use crate::codes::tenants::Tenants;
use crate::core::ids::NodeId;
use crate::directory::Directory;
use crate::store::Store;

pub use claim::{ClaimRequest, Known};
pub use make::{Made, NoCode, Wish};

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
pub struct Codes {
    node: NodeId,
    store: Arc<dyn Store>,
    tenants: Arc<Tenants>,
    directory: Arc<dyn Directory>,
    ledger: Arc<Ledger>,
    limits: CodeLimits,
    steps: Steps,
}

impl Codes {
    /// Over a store and a directory; within a runtime.
    pub fn new(
        node: NodeId,
        store: Arc<dyn Store>,
        tenants: Arc<Tenants>,
        directory: Arc<dyn Directory>,
        ledger: Arc<Ledger>,
        limits: CodeLimits,
    ) -> Self {
        let steps = Steps::to(Arc::clone(&store));
        Self { node, store, tenants, directory, ledger, limits, steps }
    }

    /// How long an unassigned device is remembered.
    pub const fn keep_unassigned(&self) -> Duration {
        self.limits.keep_unassigned
    }

    /// The wrong attempts of this node.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}
