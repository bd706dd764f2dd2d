//! Chooses the administrative password of a device (`docs/protocol/sysclient.md` 3.4).
//!
//! Decides by how the device has entered and whether its domain hands out a password. Drawing the random one and
//! sealing it for the device are not done here.

use crate::core::model::device::{Device, Domain, Way};
use crate::core::model::ids::Secret;

/// Which administrative password a device gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminPassword {
    /// That of its domain.
    Domain,
    /// A random one of its own.
    Random,
    /// None.
    None,
}

impl AdminPassword {
    /// The password after an entry by `way`. `administrative` is the flag of the code; it counts for codes only.
    pub const fn after(way: Way, administrative: bool, handed_out: bool) -> Self {
        match (way, administrative, handed_out) {
            (Way::Auto, _, _) | (Way::Code, false, true) => Self::Random,
            (Way::Code, true, true) | (Way::Manual, _, true) => Self::Domain,
            (Way::Code | Way::Manual, _, false) => Self::None,
        }
    }

    /// The password of a member; `domain` is that of the device.
    pub fn of(device: &Device, domain: Option<&Domain>) -> Self {
        let handed_out = domain.is_some_and(|domain| !domain.admin_password.is_empty());
        Self::after(device.way, device.is_administrative(), handed_out)
    }
}

/// Whether an entry needs a random password. One is kept also while the domain hands out none: the device gets it once
/// the domain begins to.
pub fn needs_random(way: Way, administrative: bool) -> bool {
    AdminPassword::after(way, administrative, true) == AdminPassword::Random
}

/// The password to send to a member.
pub fn to_send(device: &Device, domain: Option<&Domain>) -> Option<Secret> {
    match AdminPassword::of(device, domain) {
        AdminPassword::Domain => domain.map(|domain| domain.admin_password.clone()),
        AdminPassword::Random => device.admin_password.clone(),
        AdminPassword::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_password_is_drawn_before_the_domain_hands_out_any() {
        assert!(needs_random(Way::Code, false) && needs_random(Way::Auto, false));
        assert!(!needs_random(Way::Code, true) && !needs_random(Way::Manual, false));
    }
}
