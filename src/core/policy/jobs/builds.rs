//! Build lists: which firmware and boot code each product gets, and where the files are. Nothing is downloaded here.
//!
//! A list is imported from a JSON file:
//!
//! ```json
//! {"baseUrl": "https://ap.example.org/fw/136044/",
//!  "products": {"IP112": {"firmware": "136044", "bootcode": "136044"},
//!               "IP411": {"firmware": "136044", "firmwareFile": "ip411-lab.bin"}}}
//! ```

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::core::protocol::json::{JsonError, Object};
use crate::core::protocol::percent;

/// Products that a list may have.
pub const PRODUCTS_MAX: usize = 5000;
/// Longest list as JSON text, in bytes.
pub const TEXT_MAX: usize = 2 * 1024 * 1024;
/// Longest base address, in bytes; with a file name it has to fit into a line of a script.
const BASE_URL_MAX: usize = 1024;
/// Longest product name, in characters; the identify allows as many bytes.
const PRODUCT_MAX: usize = crate::core::protocol::sysclient::admin::PRODUCT_MAX;
/// Longest name of a file, in bytes.
const FILE_MAX: usize = 128;
/// Most digits in a build number.
const DIGITS_MAX: usize = 10;

/// Product → builds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildList {
    /// Where the files are; ends with `/`.
    pub base_url: Box<str>,
    /// By product name as devices report it, `IP112`.
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
    /// Firmware file; without it the name from the identify or the standard name is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware_file: Option<Box<str>>,
    /// Boot code file, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootcode_file: Option<Box<str>>,
}

/// Why a build list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildsError {
    /// The text is not one JSON object.
    #[error("the build list is no JSON object: {0}")]
    Json(#[from] JsonError),
    /// The text has more than [`TEXT_MAX`] bytes.
    #[error("the build list is longer than {TEXT_MAX} bytes")]
    TooLong,
    /// A member is missing, unknown, or not acceptable.
    #[error("{member}: {problem}")]
    Member {
        /// Which one, `products.IP112.firmware` for instance.
        member: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl BuildsError {
    fn at(member: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Member { member: member.into(), problem: problem.into() }
    }
}

impl BuildList {
    /// Reads a list from JSON text, and checks it.
    pub fn read(text: &[u8]) -> Result<Self, BuildsError> {
        if text.len() > TEXT_MAX {
            return Err(BuildsError::TooLong);
        }
        // The strict reader refuses repeated names; serde would silently take the later of two entries for a product.
        let members = Object::parse(text)?;
        let list = serde_json::from_slice(text).map_err(|error| serde_fault(&members, &error))?;
        Self::check(&list)?;
        Ok(list)
    }

    /// Checks the list. The error names the member.
    pub fn check(&self) -> Result<(), BuildsError> {
        check_base_url(&self.base_url).map_err(|problem| BuildsError::at("baseUrl", problem))?;
        if self.products.len() > PRODUCTS_MAX {
            return Err(BuildsError::at("products", format!("more than {PRODUCTS_MAX}")));
        }
        let mut names = HashSet::new();
        for (name, build) in &self.products {
            let member = || format!("products.{}", shown(name));
            if name.is_empty() || name.chars().count() > PRODUCT_MAX || name.chars().any(|c| c.is_control() || c == '/')
            {
                let problem =
                    format!("a product has 1 to {PRODUCT_MAX} characters, none of them a control character or a slash");
                return Err(BuildsError::at(member(), problem));
            }
            if !names.insert(name.to_ascii_lowercase()) {
                return Err(BuildsError::at(member(), "is listed twice, in upper and lower case"));
            }
            build.check().map_err(|(part, problem)| BuildsError::at(format!("{}{part}", member()), problem))?;
        }
        Ok(())
    }

    /// The builds of a product.
    ///
    /// The exact name is tried first, then the name in any case. A name with a suffix, `IP29-4`, is a product of its
    /// own; only if it is not listed, the part before the first `-` is looked up, as for file names
    /// (`docs/protocol/update-script.md` 3.3), because hardware variants run the same files.
    pub fn find(&self, product: &str) -> Option<&Build> {
        let family = || product.split_once('-').and_then(|(family, _)| self.by_name(family));
        self.by_name(product).or_else(family)
    }

    fn by_name(&self, name: &str) -> Option<&Build> {
        let any_case = || self.products.iter().find(|(listed, _)| listed.eq_ignore_ascii_case(name));
        self.products.get(name).or_else(|| any_case().map(|(_, build)| build))
    }

    /// The address of a file.
    pub(super) fn url(&self, file: &str) -> String {
        format!("{}{}", self.base_url, percent::encode(file))
    }
}

impl Build {
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.firmware.is_none() && self.bootcode.is_none() {
            return Err(("", "has neither firmware nor bootcode".into()));
        }
        for (member, build) in [(".firmware", &self.firmware), (".bootcode", &self.bootcode)] {
            let is_build = |text: &str| {
                (1..=DIGITS_MAX).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_digit())
                    && text.bytes().any(|b| b != b'0')
            };
            if !build.as_deref().is_none_or(is_build) {
                return Err((member, format!("a build number is 1 to {DIGITS_MAX} digits, not only zeros")));
            }
        }
        for (member, file) in [(".firmwareFile", &self.firmware_file), (".bootcodeFile", &self.bootcode_file)] {
            if !file.as_deref().is_none_or(is_file_name) {
                return Err((member, format!("a file name has 1 to {FILE_MAX} letters, digits, and any of . _ ~ + -")));
            }
        }
        Ok(())
    }
}

/// Whether this is the name of a file in the folder of the list: no blanks, no path. Also checks names from devices.
pub(super) fn is_file_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~+-".contains(&b);
    (1..=FILE_MAX).contains(&name.len()) && name.bytes().all(allowed) && name.bytes().any(|b| b != b'.')
}

fn check_base_url(text: &str) -> Result<(), &'static str> {
    if text.len() > BASE_URL_MAX {
        return Err("is longer than 1024 bytes");
    }
    let url = Url::parse(text).map_err(|_| "must be an absolute address with http or https")?;
    if !["http", "https"].contains(&url.scheme()) || !text.contains("://") {
        return Err("must be an absolute address with http or https");
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("has blanks or characters that must be percent-encoded");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or password in it, which every device would store");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; file names are appended to it");
    }
    if text.ends_with('/') { Ok(()) } else { Err("must end with /") }
}

/// Converts an error of serde, naming the member where that can be determined.
fn serde_fault(members: &Object, error: &serde_json::Error) -> BuildsError {
    let products = members.object("products");
    let wrong = products.into_iter().flat_map(Object::members).find_map(|(name, value)| {
        let error = serde_json::from_str::<Build>(&value.canonical()).err()?;
        Some(BuildsError::at(format!("products.{}", shown(name)), without_position(&error)))
    });
    wrong.unwrap_or_else(|| {
        let member = ["baseUrl", "products"].into_iter().find(|name| match *name {
            "baseUrl" => members.has(name) && members.str(name).is_none(),
            _ => members.has(name) && products.is_none(),
        });
        BuildsError::at(member.unwrap_or("build list"), without_position(error))
    })
}

/// The message of serde without line and column, which refer to text that was serialized again.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// A name, shortened for an error text.
pub(super) fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests;
