//! Types of answers about devices and their work.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::admin::{Outcome, What};
use crate::core::model::device::{Device, Domain, EthIf, Facts, Way};
use crate::core::model::work::{Progress, State};
use crate::core::policy::jobs::config::Kind;
use crate::store::UnassignedListing;

/// Deserializes a member that may be absent but not null.
pub(super) fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The default of a member that is true unless it is given.
pub(super) const fn yes() -> bool {
    true
}

/// A network interface.
#[derive(Serialize, ToSchema)]
struct InterfaceDoc {
    /// Its name.
    #[serde(rename = "if")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6: Option<String>,
}

impl InterfaceDoc {
    fn of(interface: &EthIf) -> Self {
        let text = |text: &Option<Box<str>>| text.as_deref().map(Into::into);
        Self { name: interface.name.to_string(), ipv4: text(&interface.ipv4), ipv6: text(&interface.ipv6) }
    }
}

/// Facts that a device reports.
#[allow(clippy::struct_excessive_bools)]
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SaidDoc {
    /// Product name.
    product: String,
    /// Version text.
    version: String,
    /// Type: `PHONE`, `GW`, `VA`, `DECT`, `APP_PLATFORM`.
    #[serde(rename = "type")]
    kind: String,
    /// Name that is set on the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_name: Option<String>,
    /// Build number of the firmware.
    #[serde(skip_serializing_if = "Option::is_none")]
    fw_build: Option<String>,
    /// Build number of the boot code.
    #[serde(skip_serializing_if = "Option::is_none")]
    bc_build: Option<String>,
    /// Release.
    #[serde(skip_serializing_if = "Option::is_none")]
    major: Option<String>,
    /// It has analogue ports.
    fxs: bool,
    /// A PBX is running on it.
    pbx_active: bool,
    /// It runs the minimal emergency firmware.
    mini: bool,
    /// It is a device of another vendor.
    other: bool,
    /// Network interfaces.
    eth_ifs: Vec<InterfaceDoc>,
}

impl SaidDoc {
    fn of(facts: &Facts) -> Self {
        let text = |text: &Option<Box<str>>| text.as_deref().map(Into::into);
        Self {
            product: facts.product.to_string(),
            version: facts.version.to_string(),
            kind: facts.platform.to_string(),
            device_name: text(&facts.name),
            fw_build: text(&facts.fw_build),
            bc_build: text(&facts.bc_build),
            major: text(&facts.major),
            fxs: facts.fxs,
            pbx_active: facts.pbx_active,
            mini: facts.mini,
            other: facts.other,
            eth_ifs: facts.eth_ifs.iter().map(InterfaceDoc::of).collect(),
        }
    }
}

/// A category.
#[derive(Serialize, ToSchema)]
struct CategoryOfDevice {
    /// Its number.
    id: u64,
    /// Its name; absent if it has been deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// A device that belongs to a domain.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceDoc {
    /// Its number.
    id: u64,
    /// Hardware identifier.
    #[schema(example = "00903341a0b1")]
    hw_id: String,
    /// Name of its domain.
    domain: String,
    category: CategoryOfDevice,
    /// Displayed name: the name given here, else the name set on the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Path of the App IP, set by an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_ip_path: Option<String>,
    /// It is connected.
    online: bool,
    /// How it entered: `code`, `auto` or `manual`.
    #[schema(value_type = String)]
    way: Way,
    /// After an entry by code: the code was administrative.
    #[serde(skip_serializing_if = "Option::is_none")]
    administrative: Option<bool>,
    /// When it entered, in Unix seconds.
    entered: u64,
    /// It has proved the password of this entry. If it never does, remove it and let it enter again.
    confirmed: bool,
    #[serde(flatten)]
    said: SaidDoc,
    /// Analogue ports in operation; only if a single device is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    ports: Option<Vec<String>>,
    /// Outcomes of work since it entered.
    work: Vec<OutcomeDoc>,
}

impl DeviceDoc {
    pub fn of(domain: &Domain, device: &Device, online: bool) -> Self {
        let named = domain.categories.iter().find(|category| category.id == device.category);
        Self {
            id: device.id.0,
            hw_id: device.key.to_string(),
            domain: device.domain.as_str().into(),
            category: CategoryOfDevice { id: device.category.0, name: named.map(|c| c.name.to_string()) },
            name: device.shown_name().map(Into::into),
            app_ip_path: device.app_ip.as_ref().map(|path| path.as_str().into()),
            online,
            way: device.way,
            administrative: (device.way == Way::Code).then(|| device.is_administrative()),
            entered: device.entered.seconds(),
            confirmed: !device.tentative,
            said: SaidDoc::of(&device.facts),
            ports: None,
            work: Outcome::of(device).iter().map(OutcomeDoc::of).collect(),
        }
    }

    pub fn with_ports(self, ports: &[Box<str>]) -> Self {
        Self { ports: Some(ports.iter().map(ToString::to_string).collect()), ..self }
    }
}

/// Outcome of one piece of work.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OutcomeDoc {
    /// `update`, `clean-up`, or the kind of a configuration.
    what: String,
    /// Number of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<u64>,
    /// Number of attempts.
    attempts: u8,
    /// Time of the last attempt, or of its success, in Unix seconds.
    at: u64,
    /// `ordered`, `done` or `failed`.
    state: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl OutcomeDoc {
    pub fn of(Outcome { what, progress }: &Outcome) -> Self {
        let Progress { job, attempts, at, state } = progress;
        let (state, reason) = match state {
            State::Ordered => ("ordered", None),
            State::Done => ("done", None),
            State::Failed(reason) => ("failed", Some(reason.to_string())),
        };
        let what = match what {
            What::Update => "update".into(),
            What::Config(kind) => name_of(*kind),
            What::CleanUp => "clean-up".into(),
        };
        Self { what, job: job.map(|job| job.0), attempts: *attempts, at: at.seconds(), state, reason }
    }
}

/// The name of a kind as in jobs.
fn name_of(kind: Kind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(name)) => name,
        // A kind is serialized as a text.
        _ => String::new(),
    }
}

/// An unassigned device: it belongs to no domain.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UnassignedDoc {
    /// Its number.
    id: u64,
    /// Hardware identifier.
    hw_id: String,
    /// It is connected, so it can be assigned to a domain.
    online: bool,
    /// When it was last connected, in Unix seconds.
    seen: u64,
    #[serde(flatten)]
    said: SaidDoc,
}

impl UnassignedDoc {
    pub fn of(UnassignedListing { device, at }: &UnassignedListing) -> Self {
        Self {
            id: device.id.0,
            hw_id: device.key.to_string(),
            online: at.is_some(),
            seen: device.seen.seconds(),
            said: SaidDoc::of(&device.facts),
        }
    }
}
