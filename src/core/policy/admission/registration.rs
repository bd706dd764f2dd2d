//! The order at the gate of registrations: rank and lane of a device, from what is known of it before any work is
//! done (`docs/operations.md`, Storms).
//!
//! Pure: the look-up of the device is done by the caller (`src/device/registration_gate.rs`), the waiting by
//! `src/admission/`.

use crate::core::model::ids::DomainName;
use crate::core::policy::admission::queue::Rank;
use crate::core::policy::limits::SourceKey;

/// What takes turns at the gate of registrations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The devices of a domain.
    Domain(DomainName),
    /// Devices without a domain, by source address: a flood of unassigned devices is one source, or few.
    Source(SourceKey),
}

/// Rank and lane of a device that has identified itself. `domain` is the one that it belongs to; `offers_entry` says
/// whether it brings a code or the query of automatic provisioning, so that it may enter a domain by itself.
///
/// Known devices come before those that offer entry, and these before all others.
pub fn rank_and_lane(domain: Option<&DomainName>, offers_entry: bool, source: SourceKey) -> (Rank, Lane) {
    match domain {
        Some(domain) => (Rank::Known, Lane::Domain(domain.clone())),
        None if offers_entry => (Rank::Entering, Lane::Source(source)),
        None => (Rank::Other, Lane::Source(source)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn known_devices_go_first_and_take_turns_by_domain() {
        let source = SourceKey::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let domain = DomainName::parse("example.com").unwrap();
        for offers_entry in [false, true] {
            let expected = (Rank::Known, Lane::Domain(domain.clone()));
            assert_eq!(rank_and_lane(Some(&domain), offers_entry, source), expected);
        }
    }

    #[test]
    fn devices_without_a_domain_take_turns_by_source() {
        let source = SourceKey::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(rank_and_lane(None, true, source), (Rank::Entering, Lane::Source(source)));
        assert_eq!(rank_and_lane(None, false, source), (Rank::Other, Lane::Source(source)));
    }
}
