//! What happens to a device session and what it asks for: the vocabulary of [`super::session`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::core::model::device::{Device, Facts};
use crate::core::model::ids::{Code, DomainName, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::model::timeline::TimelineEvent;
use crate::core::model::work::Work;
use crate::core::policy::entry::Stage;
use crate::core::policy::jobs::plan::Plan;
use crate::core::protocol::close::Close;
use crate::core::protocol::sysclient::admin::Identify;
use crate::core::protocol::sysclient::tunnel::{Expects, Failure, Head};

/// Times and bounds that the configuration sets.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// From the opening to the first identify.
    pub identify: Duration,
    /// From the challenge to its answer.
    pub challenged: Duration,
    /// Between two pings.
    pub ping_every: Duration,
    /// Without any frame of the device.
    pub dead_after: Duration,
    /// Tunnel sessions of one device that others than the broker itself may have open at once
    /// (`docs/protocol/sysclient.md` 8.1).
    pub max_tunnels: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            identify: seconds(30),
            challenged: seconds(60),
            ping_every: seconds(30),
            dead_after: seconds(90),
            max_tunnels: 16,
        }
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
    /// An operator has changed whom the device belongs to: its membership now, with what was drawn for it.
    Rechecked(Option<Membership>, Draw),
    /// The answer to [`Action::Join`]: whether the domain has taken the member in.
    Joined(bool),
    /// The answer to [`Action::Plan`].
    Planned(Planned),
    /// The jobs of the domain have changed.
    Replan,
    /// The administrative password of the domain has changed: the membership as it is now, and sixteen letters and digits.
    AdminPassword(Membership, Box<str>),
    /// The answer to [`Action::Deposit`]: whether it is done.
    Deposited(bool),
    /// The answer to [`Action::ClaimPort`]: `None` for success, else the error text.
    PortClaimed(Option<&'static str>),
    /// An HTTP request for the device. What becomes of it comes as [`Action::Tunnel`] with this id.
    Open(TunnelId, TunnelRequest),
    /// Whoever made the request has all bytes of the answer that it was given.
    Taken(TunnelId),
    /// Bytes for the device after an upgrade, one piece at a time: the next one after [`Output::Sent`].
    Pipe(TunnelId, Bytes),
    /// Whoever made the request has gone away.
    Abandon(TunnelId),
    /// Time has passed; due at [`super::session::Session::deadline`].
    Tick,
    /// The actor of the domain is gone; a new one takes its members.
    DomainLost,
    /// The connection has to end, for a reason from outside the protocol.
    End(Close),
    /// The server stops: the connection has to end with [`Close::Stopping`] as soon as nothing is under way on it.
    Stop,
}

/// A tunnel session, as the shell calls it; never used twice on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TunnelId(pub u64);

impl TunnelId {
    /// The first of the numbers that the device session gives to its own work; the shell counts from 1.
    const OWN: u64 = 1 << 63;

    /// The `number`th of the device session's own.
    pub(super) const fn own(number: u32) -> Self {
        Self(Self::OWN | number as u64)
    }

    /// Whether it is one of the device session's own.
    pub(super) const fn is_own(self) -> bool {
        self.0 & Self::OWN != 0
    }
}

/// An HTTP request as it goes into the tunnel (`docs/protocol/sysclient.md` 8.2).
#[derive(Clone, PartialEq, Eq)]
pub struct TunnelRequest {
    /// Head and body; the head at most [`crate::core::protocol::sysclient::tunnel::REQUEST_HEAD_MAX`] bytes.
    pub bytes: Bytes,
    /// What may follow it.
    pub expects: Expects,
}

impl std::fmt::Debug for TunnelRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It may carry passwords, and goes into no log.
        f.debug_struct("TunnelRequest").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// What comes of a request, in this order: a head, pieces of the body, the end; or at any point a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The answer begins.
    Head(Head),
    /// A piece of the body; [`Event::Taken`] asks for the next one.
    Body(Bytes),
    /// The device has the bytes of [`Event::Pipe`].
    Sent,
    /// The answer is complete.
    Done,
    /// There is no answer.
    Failed(Failure),
    /// The answer will never be complete.
    Abort(Failure),
    /// No session could be opened.
    Refused(TunnelRefused),
}

/// Why no tunnel session was opened (`docs/protocol/sysclient.md` 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelRefused {
    /// The device is not a member.
    NotMember,
    /// Too many are open.
    TooMany,
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
    Entered(Membership),
    /// The device belongs to a domain, and nothing has changed.
    Known {
        /// The membership that it may prove.
        membership: Membership,
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
    pub device: Box<Device>,
    /// Administrative password by the rules of `docs/protocol/sysclient.md` 3.4.
    pub hand_out: Option<Secret>,
}

/// What [`Action::Plan`] begins with.
#[derive(Debug)]
pub enum Basis {
    /// This record, of a device that has just registered.
    Registered(Box<Device>),
    /// This record.
    Record(Box<Device>),
    /// The record in the store, but with these facts if there are any.
    Store(Option<Box<Facts>>),
}

/// What there is to do for a member (`docs/protocol/sysclient.md` 5.2).
#[derive(Debug)]
pub enum Planned {
    /// This.
    Work {
        /// The record that the plan was made for.
        device: Box<Device>,
        /// What there is to do.
        plan: Box<Plan>,
        /// The time of day that it was made for.
        now: UnixMillis,
    },
    /// Nothing: the device is not of this domain any more.
    Gone,
    /// The store does not answer.
    Unavailable,
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
    Claim(Arc<Identify>, Stage),
    /// Make this connection the one of the device in its domain.
    Join(DomainName),
    /// Find out what work there is.
    Plan(Basis),
    /// Keep how far the work has come.
    Keep(Box<Work>),
    /// Add to the timeline of the device.
    Note(TimelineEvent),
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
    /// Something of the answer to a request.
    Tunnel(TunnelId, Output),
    /// Count a wrong digest.
    WrongDigest,
    /// Something was thrown away (`docs/protocol/sysclient.md` section 9, "drop").
    Dropped,
}

impl Action {
    /// Whether an event answers it.
    pub const fn is_question(&self) -> bool {
        matches!(self, Self::Claim(..) | Self::Join(_) | Self::Plan(_) | Self::Deposit(_) | Self::ClaimPort { .. })
    }

    /// Whether it is about a line of the session itself.
    pub(super) const fn is_of_own_line(&self) -> bool {
        matches!(self, Self::Tunnel(id, _) if id.is_own())
    }
}

impl Event<'_> {
    /// Whether it answers such an action.
    pub const fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Claimed(..) | Self::Joined(_) | Self::Planned(_) | Self::Deposited(_) | Self::PortClaimed(_)
        )
    }
}
