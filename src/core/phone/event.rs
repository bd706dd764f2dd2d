//! What happens to a device session and what it asks for: the vocabulary of [`super::session`].

use std::time::Duration;

use bytes::Bytes;

use crate::core::close::Close;
use crate::core::device::{Device, Facts};
use crate::core::entry::Stage;
use crate::core::ids::{Code, DomainName, Secret};
use crate::core::sysclient::admin::{ConfigItem, Identify};

/// Times that the configuration sets.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// From the opening to the first identify.
    pub identify: Duration,
    /// From the challenge to its answer.
    pub challenged: Duration,
    /// Between two pings.
    pub ping_every: Duration,
    /// Without any frame of the device.
    pub dead_after: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { identify: seconds(30), challenged: seconds(60), ping_every: seconds(30), dead_after: seconds(90) }
    }
}

/// What happens to a session.
#[derive(Debug)]
pub enum Event<'a> {
    /// A whole binary message.
    Message(&'a Bytes),
    /// Any frame has come, a pong for instance.
    Heard,
    /// The answer to [`Action::Claim`], with what was drawn for it.
    Claimed(Claimed, Draw),
    /// The answer to [`Action::Join`]: whether the domain has taken the member in.
    Joined(bool),
    /// The answer to [`Action::Plan`].
    Planned(Plan),
    /// The answer to [`Action::Deposit`]: whether it is done.
    Deposited(bool),
    /// The answer to [`Action::ClaimPort`]: `None` for success, else the error text.
    PortClaimed(Option<&'static str>),
    /// Time has passed; due at [`super::session::Session::deadline`].
    Tick,
    /// The actor of the domain is gone; a new one takes its members.
    DomainLost,
    /// The connection has to end, for a reason from outside the protocol.
    End(Close),
}

/// Random texts for the answer to a claim.
#[derive(Debug, Clone)]
pub struct Draw {
    /// Ten decimal digits for a challenge.
    pub challenge: Box<str>,
    /// Sixteen letters and digits for an administrative password.
    pub seed: Box<str>,
}

/// What became of a claim.
#[derive(Debug)]
pub enum Claimed {
    /// The device has entered a domain: the record is written, the password new.
    Entered(Box<Membership>),
    /// The device belongs to a domain, and nothing has changed.
    Known {
        /// The membership that it may prove.
        membership: Box<Membership>,
        /// If it cannot answer, its query lets it in once more.
        again_by_query: bool,
        /// Its code was wrong.
        bad_code: bool,
    },
    /// The device belongs to no domain.
    Unknown {
        /// Its code was wrong.
        bad_code: bool,
    },
    /// Too many attempts.
    Blocked,
    /// The store does not answer.
    Unavailable,
}

/// A device and the administrative password that it is to be handed, if any.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The record.
    pub device: Device,
    /// Administrative password by the rules of `sysclient.md` 3.4.
    pub hand_out: Option<Secret>,
}

/// The work after membership (`sysclient.md` 5.2): what has to be done before the notice goes out.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Configuration items for a device with `other`.
    pub items: Vec<ConfigItem>,
}

/// What the shell has to do.
#[derive(Debug)]
pub enum Action {
    /// Send a binary message.
    Send(Vec<u8>),
    /// Send a WebSocket ping.
    Ping,
    /// Close; nothing follows.
    Close(Close),
    /// Look the device up and let it in if it may.
    Claim(Box<Identify>, Stage),
    /// Make this connection the one of the device in its domain.
    Join(DomainName),
    /// Find out what work there is.
    Plan,
    /// Put the notice of this code into the mailbox.
    Deposit(Code),
    /// Use a code for an analogue port.
    ClaimPort {
        /// Port name.
        port: Box<str>,
        /// The code; `None` if it was malformed.
        code: Option<Code>,
    },
    /// The device has answered its challenge.
    Proved,
    /// The password is no longer tentative.
    Confirm(Secret),
    /// The device says something new of itself.
    Refresh(Box<Facts>),
    /// Count a wrong digest.
    WrongDigest,
    /// Something was thrown away (`sysclient.md` section 9, "drop").
    Dropped,
}
