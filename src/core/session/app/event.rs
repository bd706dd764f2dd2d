//! Events and actions of [`super::session`]. Types only, no logic.

use std::sync::Arc;
use std::time::Duration;

use crate::core::model::device::Category;
use crate::core::model::device_config::DeviceConfig;
use crate::core::model::ids::{Code, ConfigId, DeviceKey, DomainId, DomainName, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::policy::jobs::device_config::Listed;
use crate::core::protocol::appws::login::Login;
use crate::core::protocol::appws::message::ApiError;
use crate::core::protocol::appws::search::{Hits, Search};
use crate::core::protocol::appws::select::Selection;
use crate::core::protocol::close::Close;

use super::device_pager::DevicePager;
use super::rights::Rights;
use super::settling::SettleTimes;
use crate::core::model::device_view::{DeviceView, DomainView};

/// Settings of the server that sessions need.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Domain of the instance.
    pub domain: Box<str>,
    /// Name of the instance.
    pub instance: Box<str>,
    /// Release of Devices, `13r3` for instance.
    pub release: Box<str>,
    /// Prefix of passthrough addresses: `https://HOST/DOMAIN/INSTANCE/passthrough/`.
    pub passthrough: Box<str>,
    /// The page of the hidden app is served and answers searches.
    pub announces_search: bool,
    /// Build mark of the pages (hex).
    pub build_mark: Box<str>,
    /// Time limit from opening to the message of a successful log-in.
    pub login_timeout: Duration,
    /// Requests of a connection per second; new codes are limited separately.
    pub requests_per_second: u32,
    /// Concurrent `HttpGet` of a connection.
    pub fetches: usize,
    /// New codes of a connection per second.
    pub codes_per_second: u32,
    /// After this time without anything sent a ping is sent; zero: never.
    pub ping_every: Duration,
    /// When a notice counts as delivered.
    pub patience: SettleTimes,
    /// Longest message before the log-in, in bytes.
    pub longest_before: usize,
    /// Longest message after it.
    pub longest_after: usize,
}

/// Input of a session.
#[derive(Debug)]
pub enum Event<'a> {
    /// A text message.
    Text(&'a str),
    /// A pong with its payload.
    Pong(&'a [u8]),
    /// The answer to [`Action::Verify`], with a fresh session key.
    Verified(Option<Box<Rights>>, Secret),
    /// The answer to [`Action::Ask`] with this number.
    Answered(u64, Answer),
    /// Notices from the mailbox of a domain.
    Deliver(&'a DomainName, Vec<Delivery>),
    /// Something that the connection has subscribed to has changed.
    DataChange(DataChange),
    /// Everything sent before [`Action::Flush`] has left.
    Flushed,
    /// The time of [`super::session::Session::deadline`] has come.
    Tick,
    /// The connection has to be closed for a reason outside the protocol.
    End(Close),
}

/// What has changed, as precisely as a signal tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataChange {
    /// These devices: they were added, removed or changed.
    Devices(Arc<[DeviceKey]>),
    /// The list or the number of unassigned devices.
    UnassignedChanged,
    /// Domains, their categories, their device configurations, or who may see them.
    Domains,
    /// Possibly anything: signals may have been lost.
    Anything,
}

/// What the connection wants to be notified of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topics {
    /// The devices of these domains, within the rights.
    pub devices: Option<Arc<Selection>>,
    /// The unassigned devices.
    pub unassigned_devices: bool,
    /// The domains with their device configurations.
    pub domains: bool,
}

/// A question to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The provisioning categories of a domain.
    Categories {
        /// The domain; `None`: that of the log-in.
        domain: Option<DomainId>,
        /// Only those that apply to this type of device.
        device_type: Option<Box<str>>,
    },
    /// A new code.
    Code {
        /// The domain; `None`: that of the log-in.
        domain: Option<DomainId>,
        /// Name of the category.
        category: Box<str>,
        /// SIP name of the user.
        sip: Option<Box<str>>,
        /// Long validity.
        rollout: bool,
        /// The device gets the administrative password of the domain, if that hands one out.
        administrative: bool,
    },
    /// Which device has used a code.
    Device {
        /// The domain; `None`: that of the log-in.
        domain: Option<DomainId>,
        /// The code.
        code: Code,
    },
    /// One device.
    Named(DeviceKey),
    /// The analogue ports of a device.
    Ports(DeviceKey),
    /// Removes an analogue port.
    RemovePort {
        /// The device.
        device: DeviceKey,
        /// Name of the port.
        port: Box<str>,
    },
    /// A page of the web server of a device.
    Fetch {
        /// The device.
        device: DeviceKey,
        /// Path and query.
        target: String,
    },
    /// The domains within the rights.
    Domains,
    /// The device configurations of a domain.
    DeviceConfigs {
        /// The domain; `None`: that of the log-in.
        domain: Option<DomainId>,
    },
    /// One device configuration.
    DeviceConfig {
        /// The domain; `None`: that of the log-in.
        domain: Option<DomainId>,
        /// Its number.
        id: ConfigId,
    },
    /// The number of unassigned devices.
    Unassigned,
    /// The best hits of a search.
    Search(Box<Search>),
    /// The first page of a list of devices.
    List(Arc<Selection>),
    /// The next page.
    More(Box<DevicePager>),
    /// The present state of these devices, as far as the selection takes them.
    Look(Vec<DeviceKey>, Arc<Selection>),
}

/// The answer to a question.
#[derive(Debug)]
pub enum Answer {
    /// Categories of a domain.
    Categories {
        /// Name of the domain.
        name: DomainName,
        /// Number of the domain.
        domain: DomainId,
        /// All categories that apply.
        categories: Vec<Category>,
    },
    /// A new code.
    Code {
        /// Name of the domain.
        name: DomainName,
        /// The code.
        code: Code,
        /// End of its validity.
        valid_until: UnixMillis,
        /// The address that a device with this code connects to.
        url: Box<str>,
    },
    /// The device of a code.
    Device {
        /// Name of the domain.
        name: DomainName,
        /// The code.
        code: Code,
        /// The device that has used it.
        device: Option<Box<DeviceView>>,
    },
    /// One device.
    Named(Box<DeviceView>),
    /// Names of analogue ports.
    Ports(Vec<Box<str>>),
    /// It is done.
    Done,
    /// The answer of a device.
    Fetched {
        /// HTTP status.
        status: u16,
        /// Its content type.
        content_type: Option<Box<str>>,
        /// The body.
        body: Vec<u8>,
    },
    /// Domains, sorted by number.
    Domains(Vec<DomainView>),
    /// The device configurations of a domain, sorted by number.
    DeviceConfigs(DomainId, Vec<Listed>),
    /// A device configuration as far as the rights go.
    DeviceConfig {
        /// The configuration with its values.
        config: Box<DeviceConfig>,
        /// Its script.
        script: Option<Secret>,
        /// Sixteen letters and digits.
        seed: Box<str>,
    },
    /// The number of unassigned devices.
    Unassigned(u64),
    /// The best hits of a search.
    Hits(Hits),
    /// A page of a list, and the rest if there is more.
    Page {
        /// The devices.
        devices: Vec<DeviceView>,
        /// Where the list continues, if there is more.
        rest: Option<Box<DevicePager>>,
    },
    /// Devices that were read again; without a view if they do not exist, are outside the rights or not selected.
    Looked(Vec<(DeviceKey, Option<DeviceView>)>),
    /// The request has failed.
    Failed(ApiError),
}

/// A notice with the present state of its device.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The code that was used.
    pub code: Code,
    /// The analogue port, if the code was for one.
    pub port: Option<Box<str>>,
    /// The device.
    pub device: DeviceView,
}

/// Output of a session: what the shell has to do.
#[derive(Debug)]
pub enum Action {
    /// Send a text message.
    Send(String),
    /// Send a WebSocket ping with this payload.
    Ping([u8; 8]),
    /// Send a WebSocket ping with the payload `{}`; nobody waits for its pong.
    KeepAlive,
    /// Close; no action follows.
    Close(Close),
    /// Verify a log-in; no other event is handled before [`Event::Verified`].
    Verify(Box<Login>, Box<str>),
    /// A log-in has failed.
    LoginFailed,
    /// The log-in has succeeded: register the connection in its domain.
    Enlist(Box<Rights>),
    /// Answer a question; several may be open at a time.
    Ask(u64, Ask),
    /// The connection acts as Users in this domain from now on.
    Act(DomainName),
    /// The connection waits for the notice of a code.
    Await(DomainName, Code),
    /// Notices are settled.
    Settle(DomainName, Vec<Code>),
    /// Report [`Event::Flushed`] when everything sent so far has left.
    Flush,
    /// Notify of exactly these topics from now on. Reads that are asked for later must start after the notifications.
    Follow(Topics),
}
