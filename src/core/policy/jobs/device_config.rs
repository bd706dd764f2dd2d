//! What configuration jobs amount to: device configurations (`docs/protocol/devices-api.md` 4.10 and 4.11).
//!
//! A device configuration is one kind of job for one category of a domain, or for all its devices, with the values of
//! the latest such job. Its number is kept with its jobs.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::config::Configuration;
use super::joined::joined;
use super::{Job, JobSpec, Task};
use crate::core::model::config_kind::Kind;
use crate::core::model::device::{Category, Device, Domain};
use crate::core::model::device_config::{ConfigType, DeviceConfig, MemberValue};
use crate::core::model::ids::{CategoryId, ConfigId, JobId, Secret};

/// Whether a member is there although nothing is set, and with what value.
#[derive(Debug, Clone, Copy)]
enum Unset {
    /// It is left out.
    Absent,
    /// A text.
    Text(&'static str),
    /// A number.
    Number(i64),
    /// A boolean.
    Flag(bool),
    /// An empty text in messages to devices (`docs/protocol/sysclient.md` 3.6); left out for apps.
    EmptyToDevices,
}

/// A member of a type.
#[derive(Debug, Clone, Copy)]
struct Member {
    name: &'static str,
    /// The parameter of the kind that it comes from.
    parameter: &'static str,
    unset: Unset,
    secret: bool,
}

impl Member {
    const fn new(name: &'static str, parameter: &'static str, unset: Unset) -> Self {
        Self { name, parameter, unset, secret: false }
    }

    /// An optional member with the name of its parameter.
    const fn optional(name: &'static str) -> Self {
        Self::new(name, name, Unset::Absent)
    }

    /// A member that is always there, with the name of its parameter.
    const fn always(name: &'static str, unset: Unset) -> Self {
        Self::new(name, name, unset)
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }
}

const ALARM_SERVER: &[Member] = &[
    Member::optional("url"),
    Member::optional("logUrl"),
    Member::optional("logUser"),
    Member::optional("logPassword").secret(),
    Member::always("setLogUrl", Unset::Flag(false)),
];

/// Where a phone or an analogue port registers, and how it codes speech.
const REGISTRATION: &[Member] = &[
    Member::new("gk1", "primary", Unset::Absent),
    Member::new("gk2", "secondary", Unset::Absent),
    Member::new("gkId", "domain", Unset::Absent),
    Member::always("coder", Unset::Text("G711A")),
    Member::optional("frameSize"),
    Member::optional("exclusive"),
];

/// The last members of both.
const SPEECH: &[Member] = &[
    Member::optional("silenceComp"),
    Member::optional("noDtmfDetect"),
    Member::optional("noPhysicalLocation"),
    Member::always("srtpKey", Unset::Text("0")),
    Member::always("srtpCipher", Unset::Text("1")),
    Member::optional("recordingUrl"),
    Member::always("dialTone", Unset::Number(0)),
];

const FXS_PHONE: &[Member] =
    &joined::<_, 15>(&[REGISTRATION, &[Member::optional("fax"), Member::optional("setRecordingUrl")], SPEECH]);

const PHONE: &[Member] = &joined::<_, 20>(&[
    REGISTRATION,
    &[
        Member::optional("setRecordingUrl"),
        Member::optional("audioOnly"),
        Member::optional("noCtHookOn"),
        Member::optional("protectCfg"),
        Member::optional("allowUserCfg"),
        Member::optional("hideCompleteCfg"),
        Member::optional("hideAdminCfg"),
    ],
    SPEECH,
]);

const MEDIA: &[Member] = &[
    Member::always("stunServer", Unset::EmptyToDevices),
    Member::always("turnServer", Unset::EmptyToDevices),
    Member::always("turnUser", Unset::EmptyToDevices),
    Member::always("turnPassword", Unset::EmptyToDevices).secret(),
    Member::optional("tosRtp"),
    Member::optional("tosSig"),
    Member::optional("setRtpPorts"),
    Member::optional("rtpFirst"),
    Member::optional("rtpNum"),
    Member::optional("setNatPorts"),
    Member::optional("natFirst"),
    Member::optional("natNum"),
];

const NTP: &[Member] = &[
    Member::new("ntp1", "server", Unset::Text("")),
    Member::new("ntp2", "secondary", Unset::Text("")),
    Member::new("tz", "zone", Unset::Text("")),
];

const TLS_PROFILE: &[Member] = &[Member::always("profile", Unset::Text("normal"))];

/// The members of a type, in the order of the wire. The script of `EXPERT` is not among them.
const fn members(kind: ConfigType) -> &'static [Member] {
    match kind {
        ConfigType::AlarmServer => ALARM_SERVER,
        ConfigType::Expert => &[],
        ConfigType::FxsPhone => FXS_PHONE,
        ConfigType::Media => MEDIA,
        ConfigType::Ntp => NTP,
        ConfigType::Phone => PHONE,
        ConfigType::TlsProfile => TLS_PROFILE,
    }
}

/// For whom a configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Device,
    App,
}

/// The members of a type with these values. A value of another type than the table of the kind has cannot occur:
/// parameters were checked.
fn values(kind: ConfigType, reader: Reader, set: impl Fn(&str) -> Option<Value>) -> Vec<(&'static str, MemberValue)> {
    let value = |member: &Member| {
        let set = set(member.parameter);
        let empty = reader == Reader::Device && matches!(member.unset, Unset::EmptyToDevices);
        if member.secret {
            let text = set.as_ref().and_then(Value::as_str).unwrap_or_default();
            let shown = empty || !text.is_empty();
            return shown.then(|| MemberValue::Secret(Secret::new(text)));
        }
        let unset = || match member.unset {
            Unset::Absent => None,
            Unset::Text(text) => Some(text.into()),
            Unset::Number(number) => Some(number.into()),
            Unset::Flag(flag) => Some(flag.into()),
            Unset::EmptyToDevices => empty.then(|| "".into()),
        };
        set.or_else(unset).map(MemberValue::Plain)
    };
    members(kind).iter().filter_map(|member| Some((member.name, value(member)?))).collect()
}

/// The number of the device configuration that a job of this kind and category belongs to; `None` if there is no other
/// such job among `jobs`. Jobs of the time before there were numbers have that of the oldest of them.
pub fn number(jobs: &[Job], kind: Kind, category: Option<CategoryId>) -> Option<ConfigId> {
    let of = |job: &&Job| job.order.category == category && job.configuration().is_some_and(|c| c.kind == kind);
    let same = || jobs.iter().filter(of);
    same().find_map(|job| job.config).or_else(|| same().map(|job| ConfigId(job.id.0)).min())
}

/// The kind of a job that belongs to a device configuration.
pub fn numbered(order: &JobSpec) -> Option<Kind> {
    match &order.task {
        Task::Config(configuration) => configuration.kind.config_type().map(|_| configuration.kind),
        Task::Update(_) => None,
    }
}

/// The latest job of each kind that amounts to a message to a device.
pub(super) type Parts<'a> = [(&'a Job, &'a Configuration)];

/// The configuration of a type for a device of another maker; `parts` are its latest jobs, and `jobs` all of the domain.
/// `None` without parts.
pub(super) fn for_device(
    kind: ConfigType,
    parts: &Parts<'_>,
    jobs: &[Job],
    domain: &Domain,
    device: &Device,
) -> Option<DeviceConfig> {
    let (latest, configuration) = parts.iter().max_by_key(|(job, _)| job.id)?;
    let filled: Vec<_> = parts.iter().map(|(_, configuration)| configuration.filled(device)).collect();
    let set = |name: &str| filled.iter().find_map(|values| values.get(name).cloned());
    Some(DeviceConfig {
        id: number(jobs, configuration.kind, latest.order.category)?,
        domain: domain.id,
        desc: latest.order.desc.clone(),
        kind,
        categories: categories(domain, latest.order.category),
        members: values(kind, Reader::Device, set),
    })
}

/// What a device of another maker is sent when a type no longer applies: its members without values.
pub(super) fn removed(kind: ConfigType, id: ConfigId, domain: &Domain) -> DeviceConfig {
    let mut members = values(kind, Reader::Device, |_| None);
    members.push(("removed", MemberValue::Plain(true.into())));
    DeviceConfig { id, domain: domain.id, desc: None, kind, categories: Vec::new(), members }
}

fn categories(domain: &Domain, id: Option<CategoryId>) -> Vec<Category> {
    domain.categories.iter().filter(|category| Some(category.id) == id).cloned().collect()
}

/// A device configuration in the list of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The latest job; another one means that the configuration was edited.
    pub latest: JobId,
    /// The configuration without its values.
    pub config: DeviceConfig,
}

/// The device configurations of a domain without their values, sorted by number.
pub fn list(domain: &Domain, jobs: &[Job]) -> Vec<Listed> {
    let listed = |(id, (latest, kind)): (ConfigId, (&Job, ConfigType))| Listed {
        latest: latest.id,
        config: without_values(id, latest, kind, domain),
    };
    groups(jobs).into_iter().map(listed).collect()
}

/// One device configuration of a domain with its values, as an app reads it: placeholders are not filled in. For
/// `EXPERT` also its script.
pub fn one(domain: &Domain, jobs: &[Job], id: ConfigId) -> Option<(DeviceConfig, Option<Secret>)> {
    let (latest, kind) = groups(jobs).remove(&id)?;
    let configuration = latest.configuration()?;
    let mut config = without_values(id, latest, kind, domain);
    config.members = values(kind, Reader::App, |name| configuration.values.get(name).cloned());
    let script = (kind == ConfigType::Expert).then(|| Secret::new(script(configuration)));
    Some((config, script))
}

/// The lines of a configuration of lines, each ended by CR LF.
fn script(configuration: &Configuration) -> String {
    let lines = configuration.values.get("lines").and_then(Value::as_str).unwrap_or_default();
    lines.lines().flat_map(|line| [line, "\r\n"]).collect()
}

fn without_values(id: ConfigId, latest: &Job, kind: ConfigType, domain: &Domain) -> DeviceConfig {
    let (desc, categories) = (latest.order.desc.clone(), categories(domain, latest.order.category));
    DeviceConfig { id, domain: domain.id, desc, kind, categories, members: Vec::new() }
}

/// The jobs of one kind and category.
struct Group<'a> {
    /// The number that they have.
    number: Option<ConfigId>,
    /// The number of those without one.
    oldest: JobId,
    latest: &'a Job,
}

/// The latest job of every device configuration, and its type.
fn groups(jobs: &[Job]) -> BTreeMap<ConfigId, (&Job, ConfigType)> {
    let mut groups: HashMap<_, Group<'_>> = HashMap::new();
    for job in jobs {
        let Some(kind) = numbered(&job.order) else { continue };
        let new = Group { number: job.config, oldest: job.id, latest: job };
        let group = groups.entry((kind, job.order.category)).or_insert(new);
        group.number = group.number.or(job.config);
        group.oldest = group.oldest.min(job.id);
        if job.id > group.latest.id {
            group.latest = job;
        }
    }
    let mut all = BTreeMap::new();
    for ((kind, _), Group { number, oldest, latest }) in groups {
        if let Some(of) = kind.config_type() {
            all.insert(number.unwrap_or(ConfigId(oldest.0)), (latest, of));
        }
    }
    all
}

#[cfg(test)]
mod tests;
