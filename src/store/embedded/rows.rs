//! Rows that several aggregates of the file read or write, and the counters. Knows the keys, but no operation.

use serde::{Deserialize, Serialize};

use super::keys;
use super::kv::{Outcome, Tx};
use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::bundle::SiteName;
use crate::core::model::device::{Category, CodeState, Facts, IssuedCode, Way};
use crate::core::model::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainId, DomainName, NodeId};
use crate::core::model::time::UnixMillis;
use crate::core::model::work::Work;
use crate::store::Result;
use crate::store::code_name::{CodeName, open_code};
use crate::store::record::{About, Sealed};
use crate::store::seal::Sealer;

/// A domain with its categories.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct DomainRow {
    pub id: DomainId,
    #[serde(default)]
    pub revision: u64,
    pub password: Sealed,
    pub admin: Sealed,
    pub token: Sealed,
    /// Domains that have given this one access, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<DomainName>,
    pub categories: Vec<Category>,
}

/// A code. The row of an open one ends with its validity, that of a used one 30 days after its use.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct CodeRow {
    pub about: About,
    /// The code itself.
    pub sealed: Sealed,
    pub holder: Option<NodeId>,
    /// The device that has used it; of a lent one something that no device is called, so that nobody else may use it.
    pub by: Option<DeviceKey>,
    pub port: Option<Box<str>>,
    /// The site that it is lent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lent: Option<SiteName>,
}

impl CodeRow {
    /// The code whose row has this name.
    pub(super) fn code(&self, sealer: &Sealer, domain: &DomainName, name: &CodeName) -> Result<Code> {
        open_code(sealer, "code", domain, name, Some(&self.sealed.0))
    }

    pub(super) fn issued(self, code: Code, domain: DomainName) -> IssuedCode {
        let state = match (self.lent, self.by) {
            (Some(site), _) => CodeState::Lent { site },
            (None, None) => CodeState::Open,
            (None, Some(by)) => CodeState::Used { by, port: self.port },
        };
        self.about.issued(code, domain, self.holder, state)
    }
}

/// A device that belongs to a domain.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct DeviceRow {
    pub id: DeviceId,
    pub category: CategoryId,
    pub way: Way,
    pub password: Sealed,
    pub tentative: bool,
    pub admin: Option<Sealed>,
    pub entry_code: Option<CodeName>,
    pub pending: Option<CodeName>,
    /// The code itself, in hex. It is left as a text, because a device that registers is asked for it only once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Box<str>>,
    pub entered: UnixMillis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// The name came with a code.
    #[serde(default, skip_serializing_if = "is_false")]
    pub named_by_code: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_ip: Option<AppIpPath>,
    #[serde(default)]
    pub work: Work,
    pub facts: Facts,
    /// Analogue ports in operation, with the part of the code that never changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<(Box<str>, About)>,
}

/// A notice in the mailbox.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct MailRow {
    pub about: About,
    /// The code itself.
    pub sealed: Sealed,
    pub device: DeviceKey,
    pub port: Option<Box<str>>,
    pub holder: Option<NodeId>,
}

impl MailRow {
    /// The code whose notice has this name.
    pub(super) fn code(&self, sealer: &Sealer, domain: &DomainName, name: &CodeName) -> Result<Code> {
        open_code(sealer, "mail", domain, name, Some(&self.sealed.0))
    }
}

// serde requires this signature.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_false(b: &bool) -> bool {
    !*b
}

/// Removes the record of a device, and the device from the indexes; its ownership stays.
pub(super) fn drop_record(tx: &mut Tx<'_>, domain: &DomainName, key: &DeviceKey) -> Outcome<()> {
    tx.remove(&keys::device(domain, key))?;
    tx.unrank(&keys::devices(domain), key.as_str())?;
    tx.unrank(&keys::pending(domain), key.as_str())
}

/// The next number of a counter; the first is 1.
pub(super) fn next(tx: &mut Tx<'_>, counter: &str) -> Outcome<u64> {
    let number = tx.get::<u64>(counter)?.unwrap_or(0) + 1;
    tx.put(counter, &number, None)?;
    Ok(number)
}
