//! What happens to an app session and what it asks for: the vocabulary of [`super::session`].

use std::sync::Arc;
use std::time::Duration;

use crate::core::model::device::Category;
use crate::core::model::ids::{Code, DeviceKey, DomainId, DomainName, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::protocol::appws::login::Login;
use crate::core::protocol::appws::message::ApiError;
use crate::core::protocol::appws::select::Selection;
use crate::core::protocol::close::Close;

use super::rights::Rights;
use super::settling::Patience;
use super::walk::Walk;
use crate::core::model::device_view::{DeviceView, DomainView};

/// What the session must know of its server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Domain of the instance.
    pub domain: Box<str>,
    /// Name of the instance.
    pub instance: Box<str>,
    /// Release of Devices, `13r3` for instance.
    pub release: Box<str>,
    /// Where passthrough addresses begin: `https://HOST/DOMAIN/INSTANCE/passthrough/`.
    pub passthrough: Box<str>,
    /// Build mark of the pages (hex).
    pub build_mark: Box<str>,
    /// From the opening to the log-in.
    pub login_timeout: Duration,
    /// Requests of a connection per second, codes aside.
    pub requests_per_second: u32,
    /// `HttpGet` of a connection at the same time.
    pub fetches: usize,
    /// New codes of a connection per second.
    pub codes_per_second: u32,
    /// When a notice counts as delivered.
    pub patience: Patience,
    /// Longest message before the log-in, in bytes.
    pub longest_before: usize,
    /// Longest message after it.
    pub longest_after: usize,
}

/// What happens to a session.
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
    /// Something that is followed has changed.
    DataChange(DataChange),
    /// Everything that was sent before [`Action::Flush`] has left.
    Flushed,
    /// Time has passed; due at [`super::session::Session::deadline`].
    Tick,
    /// The connection has to end, for a reason from outside the protocol.
    End(Close),
}

/// What has changed, as far as a signal says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataChange {
    /// These devices: they have come, gone, or are different now.
    Devices(Arc<[DeviceKey]>),
    /// The unassigned devices or their number.
    ListUnassigned,
    /// Domains, their categories, or who may see them.
    Domains,
    /// Anything: signals may have been lost.
    Anything,
}

/// What the connection wants to have news of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topics {
    /// The devices of these domains, as far as they are within the rights.
    pub devices: Option<Arc<Selection>>,
    /// The unassigned devices.
    pub unassigned_devices: bool,
    /// The domains.
    pub domains: bool,
}

/// A question to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The provisioning categories of a domain.
    Categories {
        /// The domain; `None`: that of the log-in.
        domain: Option<DomainId>,
        /// Only those that suit this type of device.
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
    /// Forgets an analogue port.
    RemovePort {
        /// The device.
        device: DeviceKey,
        /// Name of the port.
        port: Box<str>,
    },
    /// What a device serves by HTTP.
    Fetch {
        /// The device.
        device: DeviceKey,
        /// Path and query.
        target: String,
    },
    /// The domains within the rights.
    Domains,
    /// How many devices have no domain.
    Unassigned,
    /// The first page of a list of devices.
    List(Arc<Selection>),
    /// The next page.
    More(Box<Walk>),
    /// These devices as they are now.
    Look(Vec<DeviceKey>),
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
        /// All that suit.
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
    },
    /// What is known of a code.
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
    /// What a device has answered.
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
    /// How many devices have no domain.
    Unassigned(u64),
    /// A page of a list, and the rest if there is more.
    Page {
        /// The devices.
        devices: Vec<DeviceView>,
        /// What is left to read.
        rest: Option<Box<Walk>>,
    },
    /// Devices that were looked at; without view if they are not there or not within the rights.
    Looked(Vec<(DeviceKey, Option<DeviceView>)>),
    /// It could not be done.
    Failed(ApiError),
}

/// A notice with the device as it is now.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The code that was used.
    pub code: Code,
    /// The analogue port, if the code was for one.
    pub port: Option<Box<str>>,
    /// The device.
    pub device: DeviceView,
}

/// What the shell has to do.
#[derive(Debug)]
pub enum Action {
    /// Send a text message.
    Send(String),
    /// Send a WebSocket ping with this payload.
    Ping([u8; 8]),
    /// Close; nothing follows.
    Close(Close),
    /// Judge a log-in; nothing else is handed in before the answer.
    Verify(Box<Login>, Box<str>),
    /// A log-in has failed.
    LoginFailed,
    /// The log-in stands: make the connection known in its domain.
    Enlist(Box<Rights>),
    /// Answer a question; several may be open at a time.
    Ask(u64, Ask),
    /// The connection acts as Users in this domain.
    Act(DomainName),
    /// The connection waits for the notice of a code.
    Await(DomainName, Code),
    /// Notices are settled.
    Settle(DomainName, Vec<Code>),
    /// Tell by [`Event::Flushed`] when everything sent so far has left.
    Flush,
    /// From now on news of exactly this are wanted. Whatever is asked afterwards must be read after the news have begun.
    Follow(Topics),
}
