//! Hardware and firmware data of a simulated device, and the texts made from them (`docs/protocol/update-script.md`
//! section 1).

use serde::{Deserialize, Serialize};

use crate::core::protocol::script::encode;

/// Hardware and firmware data of a simulated device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// MAC address, twelve hex digits in lower case.
    pub mac: Box<str>,
    /// Product name, such as `IP112`.
    pub product: Box<str>,
    /// Release, such as `13r3 sr9`.
    pub release: Box<str>,
    /// Build number of the firmware, such as `136012`.
    pub fw_build: Box<str>,
    /// Build number of the boot code.
    pub bc_build: Box<str>,
    /// Number of the hardware, such as `300`.
    pub hw_build: Box<str>,
    /// Its IP address; empty if it has none.
    pub ip: Box<str>,
}

impl Machine {
    /// The version text of the identify message: `13r3 sr9 [13.6012/136012/300]`.
    pub fn version(&self) -> String {
        format!("{} [{}/{}/{}]", self.release, self.dotted_build(), self.bc_build, self.hw_build)
    }

    /// The version text for people: `13r3 sr9 IP112[13.6012], Bootcode[136012], HW[300]`.
    pub fn version_for_people(&self) -> String {
        let Self { release, product, bc_build, hw_build, .. } = self;
        format!("{release} {product}[{}], Bootcode[{bc_build}], HW[{hw_build}]", self.dotted_build())
    }

    /// `136012` is shown as `13.6012`.
    fn dotted_build(&self) -> String {
        match self.fw_build.split_at_checked(2) {
            Some((major, rest)) if !rest.is_empty() => format!("{major}.{rest}"),
            _ => self.fw_build.to_string(),
        }
    }

    /// The parameters that the device adds to the query, not yet encoded.
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![("mac", self.mac.to_string()), ("type", self.product.to_string())];
        if !self.ip.is_empty() {
            parameters.push(("ip", self.ip.to_string()));
        }
        parameters.push(("ver", self.version_for_people()));
        parameters
    }

    /// `address` with the placeholders `#m`, `#h`, `#t` and `#i` filled in.
    pub(super) fn fill(&self, address: &str) -> String {
        let mut parts = address.split('#');
        let mut out = String::from(parts.next().unwrap_or_default());
        for part in parts {
            let value = match part.as_bytes().first() {
                Some(b'm') => self.mac_with_hyphens(),
                Some(b'h') => self.hardware_name(),
                Some(b't') => self.product.to_string(),
                Some(b'i') => self.ip.to_string(),
                _ => {
                    out.push('#');
                    out.push_str(part);
                    continue;
                }
            };
            out.push_str(&encode::value(&value));
            out.push_str(&part[1..]);
        }
        out
    }

    fn mac_with_hyphens(&self) -> String {
        let pairs: Vec<&str> = (0..self.mac.len()).step_by(2).filter_map(|at| self.mac.get(at..at + 2)).collect();
        pairs.join("-")
    }

    /// Product and the last three bytes of the MAC address: `IP112-41-a0-b1`.
    fn hardware_name(&self) -> String {
        let mac = self.mac_with_hyphens();
        let tail = mac.len().checked_sub(8).and_then(|at| mac.get(at..)).unwrap_or(&mac);
        format!("{}-{tail}", self.product)
    }
}
