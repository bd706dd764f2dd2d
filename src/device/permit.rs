//! How far a device has come through the gate of registrations (`src/device/registration_gate.rs`): the
//! state of its permit, without the way there.

use std::sync::Arc;

use crate::admission::controller::{Expected, Permit};
use crate::core::policy::admission::registration::Lane;
use crate::core::protocol::sysclient::admin::Identify;

/// How far a device has come through the gate.
pub(super) enum RegistrationPermit {
    /// It has not said yet who it is.
    Expected { _counted: Expected },
    /// Nothing of it is under way.
    None,
    /// It waits, with its latest identify.
    Waiting(Arc<Identify>),
    /// It has a permit; released when it is challenged, a member, or recorded as unassigned.
    Held(Permit<Lane>),
}

impl RegistrationPermit {
    /// Takes a held permit out.
    pub fn take(&mut self) -> Option<Permit<Lane>> {
        match std::mem::replace(self, Self::None) {
            Self::Held(permit) => Some(permit),
            Self::Expected { .. } | Self::None | Self::Waiting(_) => None,
        }
    }

    /// Whether the device waits at the gate; its own times stand still meanwhile.
    pub const fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }
}
