//! An offer of a device whose decision waits (`docs/protocol/sysclient.md` 9.1).

use std::sync::Arc;

use actix::SpawnHandle;

use crate::attempts::Attempt;
use crate::clock::Stopwatch;
use crate::core::protocol::sysclient::admin::Identify;
use crate::registration::Offered;

/// An offer that waits, or whose turn has come while the session had a question open.
pub(super) struct WaitingOffer {
    pub(super) offered: Offered,
    /// The latest identify of the device; none for a port.
    pub(super) identify: Option<Arc<Identify>>,
    /// Its turn has come.
    pub(super) attempt: Option<Attempt>,
    /// The session was told.
    pub(super) told: bool,
    /// Waits for its turn.
    pub(super) task: SpawnHandle,
    pub(super) since: Stopwatch,
}
