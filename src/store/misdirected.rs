//! Devices that come with the right token of a domain and a category that the domain does not have for them
//! (`docs/protocol/sysclient.md` section 6): for the operators of the domain.

use std::time::Duration;

use super::Result;
use super::observed::store_trait;
use crate::core::model::ids::{DeviceKey, DomainName};

/// How long a device with a wrong category is remembered.
pub const MISDIRECTED_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Devices with a wrong category that are remembered for a domain.
pub const MAX_MISDIRECTED: u64 = 1000;

/// Longest name of a category that is remembered, in bytes; longer ones are cut.
pub(super) const CATEGORY_LENGTH: usize = 64;

/// A category that devices name and a domain does not have for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misdirected {
    /// Its name, as the devices have it.
    pub category: Box<str>,
    /// How many devices.
    pub devices: u64,
}

/// The text under which a device is remembered. A device key has no blank.
pub(super) fn misdirected_text(category: &str, device: &DeviceKey) -> String {
    let mut end = category.len().min(CATEGORY_LENGTH);
    while !category.is_char_boundary(end) {
        end -= 1;
    }
    format!("{device} {}", category.get(..end).unwrap_or_default())
}

/// Counts the devices of each category; most devices first.
pub(super) fn by_category(texts: impl Iterator<Item = String>) -> Vec<Misdirected> {
    let mut counts = std::collections::BTreeMap::<Box<str>, u64>::new();
    for text in texts {
        if let Some((_, category)) = text.split_once(' ') {
            *counts.entry(category.into()).or_default() += 1;
        }
    }
    let mut found: Vec<_> = counts.into_iter().map(|(category, devices)| Misdirected { category, devices }).collect();
    found.sort_by_key(|found| std::cmp::Reverse(found.devices));
    found
}

store_trait! {
    /// Devices with a wrong category. They are forgotten by themselves.
    pub trait MisdirectedDevices: Send + Sync {
        /// A device has come with the right token of a domain and a category that is not there for it. It is remembered
        /// for [`MISDIRECTED_KEPT`]; of a domain at most [`MAX_MISDIRECTED`], the oldest go first.
        async fn record_misdirected(
            &self,
            domain: &DomainName,
            category: &str,
            device: &DeviceKey,
        ) -> Result<()> => RecordMisdirected;

        /// The categories that such devices have named, and how many devices each.
        async fn misdirected(&self, domain: &DomainName) -> Result<Vec<Misdirected>> => Misdirected;
    }
}
