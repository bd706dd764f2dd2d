//! What happens to an app session and what it asks for: the vocabulary of [`super::session`].

use std::time::Duration;

use crate::core::appws::answers::DeviceObject;
use crate::core::appws::login::Login;
use crate::core::appws::message::ApiError;
use crate::core::close::Close;
use crate::core::device::{Category, Device};
use crate::core::ids::{Code, DomainId, DomainName, Secret};
use crate::core::time::UnixMillis;

use super::rights::Rights;
use super::settling::Patience;

/// What the session must know of its server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Domain of the instance.
    pub domain: Box<str>,
    /// Name of the instance.
    pub instance: Box<str>,
    /// Release of Devices, `13r3` for instance.
    pub release: Box<str>,
    /// Build mark of the pages (hex).
    pub build_mark: Box<str>,
    /// From the opening to the log-in.
    pub login_timeout: Duration,
    /// Requests of a connection per second, codes aside.
    pub requests_per_second: u32,
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
    /// Time has passed; due at [`super::session::Session::deadline`].
    Tick,
    /// The connection has to end, for a reason from outside the protocol.
    End(Close),
}

/// A question to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The provisioning categories of a domain.
    Categories {
        /// The domain; `None`: that of the log-in.
        domain: Option<DomainId>,
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
    /// It could not be done.
    Failed(ApiError),
}

/// A device as clients see it.
#[derive(Debug, Clone)]
pub struct DeviceView {
    /// The record.
    pub device: Device,
    /// Number of its domain.
    pub domain: DomainId,
    /// Whether it is connected.
    pub online: bool,
    /// Name of its category.
    pub category: Option<Box<str>>,
}

impl DeviceView {
    /// As it goes on the wire.
    pub fn object(&self) -> DeviceObject<'_> {
        let Self { device, domain, online, category } = self;
        DeviceObject { device, domain: *domain, online: *online, category: category.as_deref() }
    }
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
}
