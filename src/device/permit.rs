//! The state of a device at the gate of registrations, and its permit. The steps are in
//! `src/device/registration_gate.rs`.

use std::sync::Arc;

use crate::admission::controller::{Expected, Permit};
use crate::core::policy::admission::registration::Lane;
use crate::core::protocol::sysclient::admin::Identify;

/// State of a device at the gate.
pub(super) enum RegistrationPermit {
    /// It has not identified yet.
    Expected { _counted: Expected },
    /// No work of it is under way.
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

    /// Whether the device waits at the gate; its own timers are paused meanwhile.
    pub const fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }
}
