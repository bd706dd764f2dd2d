//! The commands `devices`, `offers` and `unassigned`.

use clap::{ArgAction, Args, Subcommand};

use super::call::{Call, Column, Limit, List, Show};

const DEVICES: &[Column] = &[
    ("hwId", "hwId"),
    ("name", "name"),
    ("product", "product"),
    ("version", "version"),
    ("type", "type"),
    ("category", "category.name"),
    ("online", "online"),
    ("confirmed", "confirmed"),
    ("way", "way"),
    ("entered", "entered"),
];

const UNASSIGNED: &[Column] = &[
    ("hwId", "hwId"),
    ("product", "product"),
    ("version", "version"),
    ("type", "type"),
    ("online", "online"),
    ("seen", "seen"),
];

const OFFERS: &[Column] =
    &[("hwId", "hwId"), ("from", "from"), ("product", "product"), ("type", "type"), ("online", "online")];

const EVENTS: &[Column] = &[("at", "at"), ("event", "event"), ("detail", "detail")];

/// A call for a timeline: its events, and the blocked reason.
pub(super) fn timeline(template: &'static str) -> Call {
    let events = List { member: "steps", columns: EVENTS, each: None, pages: None, below: Some("standstill") };
    Call::new("GET", template, Show::List(events))
}

/// Devices of a domain.
#[derive(Debug, Subcommand)]
pub enum Devices {
    /// List devices
    List(DeviceFilter),
    /// Show a device with its ports
    Get(Device),
    /// Assign an unassigned device to the domain; it must be online; only with the instance password
    Assign {
        #[command(flatten)]
        device: Device,
        #[command(flatten)]
        into: Into,
    },
    /// Rename a device
    Rename {
        #[command(flatten)]
        device: Device,
        /// New name; empty: the name that is set on the device
        name: String,
    },
    /// Set the path of the App IP of an app platform
    AppIp {
        #[command(flatten)]
        device: Device,
        /// Path, such as `ip/`; empty: removes it
        path: String,
    },
    /// Move a device to another category of the domain
    Category {
        #[command(flatten)]
        device: Device,
        /// Number of the category
        category: u64,
    },
    /// Remove a device from the domain
    Remove(Device),
    /// Show the timeline of a device and its blocked reason
    Timeline(Device),
    /// Show what the jobs would send to a device; nothing is sent
    DryRun(Device),
    /// Move a device to another domain at once; it must be online; only with the instance password
    Move {
        #[command(flatten)]
        device: Device,
        /// Number or name of the other domain
        #[arg(long, value_name = "DOMAIN")]
        to: String,
        #[command(flatten)]
        into: Into,
    },
    /// Offer a device to another domain, for seven days
    Offer {
        #[command(flatten)]
        device: Device,
        /// Number or name of the other domain
        #[arg(long, value_name = "DOMAIN")]
        to: String,
    },
}

/// Argument that selects a device.
#[derive(Debug, Args)]
pub struct Device {
    /// Hardware identifier
    hw_id: String,
}

/// Category that a device enters.
#[derive(Debug, Args)]
pub struct Into {
    /// Number of the category that it enters
    #[arg(long, value_name = "ID")]
    category: u64,
}

/// Filter for devices.
#[derive(Debug, Args)]
pub struct DeviceFilter {
    /// Only in this category (number)
    #[arg(long, value_name = "ID")]
    category: Option<u64>,
    /// Only of this type: `PHONE`, `GW`, `VA`, `DECT`, `APP_PLATFORM`
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only online devices (true) or offline devices (false)
    #[arg(long, action = ArgAction::Set, value_name = "BOOL")]
    online: Option<bool>,
    /// Only with this text in the product name
    #[arg(long, value_name = "TEXT")]
    product: Option<String>,
    /// Only these hardware identifiers, separated by commas; at most 1000
    #[arg(long, value_name = "IDS")]
    hw_ids: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

impl Devices {
    pub(super) fn call(&self) -> Call {
        const ALL: &str = "/domains/{domain}/devices";
        let one = |method, device: &Device, show| {
            Call::new(method, "/domains/{domain}/devices/{hwId}", show).at("hwId", &device.hw_id)
        };
        match self {
            Self::List(filter) => Call::new("GET", ALL, List::paged("devices", DEVICES, filter.limit))
                .query("category", filter.category.as_ref())
                .query("type", filter.kind.as_ref())
                .query("online", filter.online.as_ref())
                .query("product", filter.product.as_ref())
                .query("hwIds", filter.hw_ids.as_ref()),
            Self::Get(device) => one("GET", device, Show::Thing),
            Self::Assign { device, into } => Call::new("POST", ALL, Show::Thing)
                .json([("hwId", Some(device.hw_id.as_str().into())), ("category", Some(into.category.into()))]),
            Self::Rename { device, name } => {
                one("PATCH", device, Show::Nothing).json([("name", Some(name.as_str().into()))])
            }
            Self::AppIp { device, path } => {
                one("PATCH", device, Show::Nothing).json([("appIpPath", Some(path.as_str().into()))])
            }
            Self::Category { device, category } => {
                one("PATCH", device, Show::Nothing).json([("category", Some((*category).into()))])
            }
            Self::Remove(device) => one("DELETE", device, Show::Nothing),
            Self::Timeline(device) => timeline("/domains/{domain}/devices/{hwId}/timeline").at("hwId", &device.hw_id),
            Self::DryRun(device) => {
                Call::new("POST", "/domains/{domain}/devices/{hwId}/dry-run", Show::Thing).at("hwId", &device.hw_id)
            }
            Self::Move { device, to, into } => Call::new("POST", "/domains/{domain}/devices/{hwId}/move", Show::Thing)
                .at("hwId", &device.hw_id)
                .json([("to", Some(to.as_str().into())), ("category", Some(into.category.into()))]),
            Self::Offer { device, to } => Call::new("POST", "/domains/{domain}/devices/{hwId}/offers", Show::Nothing)
                .at("hwId", &device.hw_id)
                .json([("to", Some(to.as_str().into()))]),
        }
    }
}

/// Offers of other domains.
#[derive(Debug, Subcommand)]
pub enum Offers {
    /// List the devices that other domains offer to this one
    List,
    /// Accept a device; it must be online
    Accept {
        #[command(flatten)]
        device: Device,
        #[command(flatten)]
        into: Into,
    },
    /// Refuse a device
    Refuse(Device),
}

impl Offers {
    pub(super) fn call(&self) -> Call {
        let one = |method, device: &Device, show| {
            Call::new(method, "/domains/{domain}/offers/{hwId}", show).at("hwId", &device.hw_id)
        };
        match self {
            Self::List => Call::new("GET", "/domains/{domain}/offers", List::whole("offers", OFFERS)),
            Self::Accept { device, into } => {
                one("POST", device, Show::Thing).json([("category", Some(into.category.into()))])
            }
            Self::Refuse(device) => one("DELETE", device, Show::Nothing),
        }
    }
}

/// Devices that belong to no domain.
pub(super) fn unassigned(limit: &Limit) -> Call {
    Call::new("GET", "/unassigned", List::paged("devices", UNASSIGNED, *limit))
}
