//! What is known of a device, a domain, a category and a code: the records that sessions and stores exchange.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainId, DomainName, NodeId, Secret};
use super::time::UnixMillis;
use crate::core::model::work::Work;

/// A used code, and with it the answer of `GetProvisionedDevice`, is kept this long; so is a notice in the mailbox
/// (`docs/protocol/devices-api.md` 2.5).
pub const KEEP_USED: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a device says of itself in its identify message (`docs/protocol/sysclient.md` 3.1), without code and digest.
// The flags are members of the message, independent of each other.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// Product name, at most 128 bytes.
    pub product: Box<str>,
    /// The whole version text, at most 256 bytes.
    pub version: Box<str>,
    /// `platform.type` as it was sent.
    pub platform: Box<str>,
    /// `platform.fxs`: has analogue ports.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fxs: bool,
    /// Name set on the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// Build number of the firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fw_build: Option<Box<str>>,
    /// Build number of the boot code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bc_build: Option<Box<str>>,
    /// Release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<Box<str>>,
    /// Firmware file name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fw: Option<Box<str>>,
    /// Boot code file name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bc: Option<Box<str>>,
    /// The small emergency firmware is running.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mini: bool,
    /// A telephone exchange is running on the device.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pbx_active: bool,
    /// Not a device of the vendor: configuration arrives by admin message 6.
    #[serde(default, skip_serializing_if = "is_false")]
    pub other: bool,
    /// Network interfaces, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eth_ifs: Vec<EthIf>,
}

/// A network interface of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EthIf {
    /// Name of the interface.
    #[serde(rename = "if")]
    pub name: Box<str>,
    /// IPv4 address as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Box<str>>,
    /// IPv6 address as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Box<str>>,
}

// The shape is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_false(b: &bool) -> bool {
    !*b
}

/// How a device came into its domain (`docs/protocol/sysclient.md` 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// By a provisioning code.
    Code,
    /// By the query of automatic provisioning.
    Auto,
    /// By an administrator.
    Manual,
}

/// A device that belongs to a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Number on the wire.
    pub id: DeviceId,
    /// Key.
    pub key: DeviceKey,
    /// The domain that it belongs to.
    pub domain: DomainName,
    /// Its category.
    pub category: CategoryId,
    /// How it came in.
    pub way: Way,
    /// The device password (`docs/protocol/sysclient.md` 3.2).
    pub password: Secret,
    /// The device has not yet answered a challenge with this password (`docs/protocol/sysclient.md` 5.1).
    pub tentative: bool,
    /// The random administrative password of an automatically provisioned device (`docs/protocol/sysclient.md` 3.4).
    pub admin_password: Option<Secret>,
    /// The code of its last entry.
    pub entry_code: Option<Code>,
    /// The code whose notice is still owed to Users.
    pub pending: Option<Code>,
    /// When it entered.
    pub entered: UnixMillis,
    /// Name given by an operator; goes before the one that the device says (`docs/protocol/sysclient.md` 3.1).
    pub name: Option<Box<str>>,
    /// How far the work for it has come.
    pub work: Work,
    /// What it last said of itself.
    pub facts: Facts,
}

impl Device {
    /// The name that people see.
    pub fn shown_name(&self) -> Option<&str> {
        self.name.as_deref().or(self.facts.name.as_deref())
    }
}

/// A device that belongs to no domain (any more).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnassignedDevice {
    /// Number on the wire.
    pub id: DeviceId,
    /// Key.
    pub key: DeviceKey,
    /// What it last said of itself.
    pub facts: Facts,
    /// When it was last heard of.
    pub seen: UnixMillis,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Number on the wire.
    pub id: DomainId,
    /// Name.
    pub name: DomainName,
    /// Password for app connections.
    pub password: Secret,
    /// Administrative password handed to devices; empty: none.
    pub admin_password: Secret,
    /// Token of automatic provisioning; empty: feature off.
    pub auto_token: Secret,
    /// Domains whose things this one may see and use, because they have given it access.
    pub access_to: Vec<DomainName>,
    /// Changes with every change of the domain, its categories or its jobs.
    pub revision: u64,
    /// Its categories, sorted by number.
    pub categories: Vec<Category>,
}

impl Domain {
    /// The category with this name, compared exactly.
    pub fn category(&self, name: &str) -> Option<&Category> {
        self.categories.iter().find(|c| &*c.name == name)
    }
}

/// A category of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Number on the wire.
    pub id: CategoryId,
    /// Name, unique within the domain.
    pub name: Box<str>,
    /// Used for provisioning and device configurations; `config` on the wire.
    pub provisioning: bool,
}

/// Who asked for a code: the names that let a later log-in be recognised as the same Users
/// (`docs/protocol/devices-api.md` 2.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// `app` of the log-in.
    pub app: Box<str>,
    /// `sip` of the log-in.
    pub sip: Box<str>,
}

/// A code as Devices keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCode {
    /// The code.
    pub code: Code,
    /// The domain that a device enters with it.
    pub domain: DomainName,
    /// The category that it enters.
    pub category: CategoryId,
    /// SIP name of the user who will get the device.
    pub sip: Option<Box<str>>,
    /// Who asked for it.
    pub requester: Requester,
    /// The node that holds a connection which waits for the notice.
    pub holder: Option<NodeId>,
    /// Asked for with `rollout`.
    pub rollout: bool,
    /// End of validity.
    pub valid_until: UnixMillis,
    /// What has become of it.
    pub state: CodeState,
}

/// The life of a code: open until exactly one device uses it, or its time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeState {
    /// Nobody has used it, and its time is not over.
    Open,
    /// A device has used it.
    Used {
        /// The device.
        by: DeviceKey,
        /// The analogue port that it was used for, if it was one.
        port: Option<Box<str>>,
    },
}

/// A notice that waits in the mailbox of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The code that was used.
    pub code: Code,
    /// The device that used it.
    pub device: DeviceKey,
    /// The analogue port, if the code was for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Box<str>>,
    /// Who asked for the code.
    pub requester: Requester,
    /// The node to whose connection it is addressed; `None`: to anybody who acts as Users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<NodeId>,
}
