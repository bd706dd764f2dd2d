//! Build lists: which firmware and boot code belongs to which product, and where it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Product → builds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildList {
    /// Where the files are; ends with `/`.
    pub base_url: Box<str>,
    /// By product name as devices say it, `IP112`.
    pub products: BTreeMap<Box<str>, Build>,
}

/// The builds of one product.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Build {
    /// Build number of the firmware, digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Box<str>>,
    /// Build number of the boot code, digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootcode: Option<Box<str>>,
    /// Firmware file, instead of the name that the device says or the standard name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware_file: Option<Box<str>>,
    /// Boot code file, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootcode_file: Option<Box<str>>,
}
