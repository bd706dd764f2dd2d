//! Placeholders in values: what differs from device to device although the job is the same.
//!
//! The letters are those of update addresses (`docs/protocol/update-script.md` section 1), but **we** fill them in,
//! before the value is sent:
//!
//! | placeholder | value | example |
//! |---|---|---|
//! | `#m` | hardware identifier; a MAC address with hyphens | `00-90-33-41-a0-b1` |
//! | `#h` | product and the last three bytes of the MAC address | `IP112-41-a0-b1` |
//! | `#t` | product | `IP112` |
//! | `#p` | port, in the configuration of an analogue phone | `TEL1` |
//! | `##` | a number sign | `#` |
//!
//! Any other `#` stays. Nothing that configuration itself changes (name, address) can be put in: it would never settle. What
//! belongs to a person is the matter of Users.

use crate::core::model::device::Device;
use crate::core::model::ids::mac_digits;

/// What is put into values.
pub(super) struct Placeholders<'a> {
    hardware: String,
    product: &'a str,
    /// The port, if the line is about one.
    pub(super) port: Option<&'a str>,
}

impl<'a> Placeholders<'a> {
    pub(super) fn of(device: &'a Device) -> Self {
        Self { hardware: hyphenated(device.key.as_str()), product: &device.facts.product, port: None }
    }

    /// `text` with everything put in. Not longer than `max` characters: what a device says of itself may be long.
    pub(super) fn fill(&self, text: &str, max: usize) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let letter = rest.clone().next().filter(|_| c == '#');
            match (letter, self.port) {
                (Some('m'), _) => out.push_str(&self.hardware),
                (Some('h'), _) => out.push_str(&self.name()),
                (Some('t'), _) => out.push_str(self.product),
                (Some('p'), Some(port)) => out.push_str(port),
                (Some('#'), _) => out.push('#'),
                _ => {
                    out.push(c);
                    continue;
                }
            }
            rest.next();
        }
        out.retain(|c| !c.is_control());
        out.chars().take(max).collect()
    }

    fn name(&self) -> String {
        // The last three bytes with their hyphens; another identifier stays whole.
        let tail = self.hardware.len().checked_sub("41-a0-b1".len()).filter(|_| self.hardware.len() == 17);
        let tail = tail.and_then(|at| self.hardware.get(at..)).unwrap_or(&self.hardware);
        format!("{}-{tail}", self.product)
    }
}

fn hyphenated(key: &str) -> String {
    let Some(digits) = mac_digits(key) else { return key.to_owned() };
    let pairs: Vec<&str> = (0..digits.len()).step_by(2).filter_map(|at| digits.get(at..at + 2)).collect();
    pairs.join("-")
}
