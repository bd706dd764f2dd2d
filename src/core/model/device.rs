//! Device, domain, category, code and notice: the records that sessions and stores exchange.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bundle::SiteName;
use super::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainId, DomainName, NodeId, Secret};
use super::time::UnixMillis;
use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::work::Work;

/// A used code, and with it the answer of `GetProvisionedDevice`, is kept this long; so is a notice in the mailbox
/// (`docs/protocol/devices-api.md` 2.5).
pub const KEEP_USED: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a device reports of itself in its identify (`docs/protocol/sysclient.md` 3.1), without code and digest.
// Independent members of the message.
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

// serde requires this signature.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_false(b: &bool) -> bool {
    !*b
}

/// How a device has entered its domain (`docs/protocol/sysclient.md` 5.1).
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

/// The type of an app platform.
pub const APP_PLATFORM: &str = "APP_PLATFORM";

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
    /// How it has entered.
    pub way: Way,
    /// The device password (`docs/protocol/sysclient.md` 3.2).
    pub password: Secret,
    /// The device has not answered a challenge with this password yet (`docs/protocol/sysclient.md` 5.1).
    pub tentative: bool,
    /// The random administrative password (`docs/protocol/sysclient.md` 3.4), after automatic provisioning or an entry
    /// by a code that is not administrative. It is the stored flag of such a code, too.
    pub admin_password: Option<Secret>,
    /// The code of its last entry, for as long as that may be repeated or its notice is owed.
    pub entry_code: Option<Code>,
    /// The code whose notice is not in the mailbox yet.
    pub pending: Option<Code>,
    /// When it entered.
    pub entered: UnixMillis,
    /// Name given by an operator; takes precedence over the one that the device reports (`docs/protocol/sysclient.md`
    /// 3.1).
    pub name: Option<Box<str>>,
    /// Path of its App IP, set by an operator (`docs/protocol/devices-api.md` 3.1).
    pub app_ip: Option<AppIpPath>,
    /// Progress of the work for it.
    pub work: Work,
    /// The facts of its last identify.
    pub facts: Facts,
}

impl Device {
    /// It has entered by a code that gives the administrative password of the domain. So have the devices that entered
    /// by code before codes had the flag: they have this password already.
    pub fn is_administrative(&self) -> bool {
        self.way == Way::Code && self.admin_password.is_none()
    }

    /// The name that people see.
    pub fn shown_name(&self) -> Option<&str> {
        self.name.as_deref().or(self.facts.name.as_deref())
    }
}

/// An unassigned device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnassignedDevice {
    /// Number on the wire.
    pub id: DeviceId,
    /// Key.
    pub key: DeviceKey,
    /// The facts of its last identify.
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
    /// Domains that have given this one access to their devices and categories.
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

    /// Whether category `id` (`None`: a new one) may get this name. Filters separate names by commas, so a new name has
    /// none; one that a category has already is kept (`docs/protocol/devices-api.md` 1.3).
    pub fn may_name_category(&self, id: Option<CategoryId>, name: &str) -> bool {
        Category::is_new_name(name) || self.category(name).is_some_and(|category| Some(category.id) == id)
    }
}

/// A category of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Number on the wire.
    pub id: CategoryId,
    /// Name, unique within the domain.
    pub name: Box<str>,
    /// Marked for provisioning and device configurations; `config` on the wire.
    pub provisioning: bool,
}

impl Category {
    /// Whether a category may be made with this name: it has no comma (`docs/protocol/devices-api.md` 1.3).
    pub fn is_new_name(name: &str) -> bool {
        !name.contains(',')
    }
}

/// The names of the log-in that asked for a code; by them a later log-in is recognised as the same Users
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
    /// The node with the connection that waits for the notice.
    pub holder: Option<NodeId>,
    /// Asked for with `rollout`.
    pub rollout: bool,
    /// The device gets the administrative password of the domain, if that hands one out.
    pub administrative: bool,
    /// End of validity.
    pub valid_until: UnixMillis,
    /// Its state.
    pub state: CodeState,
}

/// State of a code: open until exactly one device uses it, until it is lent, or until its validity ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeState {
    /// Nobody has used it, and it is valid.
    Open,
    /// A device has used it.
    Used {
        /// The device.
        by: DeviceKey,
        /// The analogue port that it was used for, if it was one.
        port: Option<Box<str>>,
    },
    /// It is lent to a site, which alone lets a device in with it. Its results say which one.
    Lent {
        /// The site.
        site: SiteName,
    },
}

/// A notice in the mailbox of a domain.
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
    /// The node whose connection it is addressed to; `None`: any connection that acts as Users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<NodeId>,
}
