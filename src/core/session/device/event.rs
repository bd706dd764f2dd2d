//! Events and actions of [`super::session`]. Types only, no logic.

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

/// Times and limits from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Time limit from opening to the first identify.
    pub identify: Duration,
    /// Time limit from the challenge to its answer.
    pub challenged: Duration,
    /// Interval of pings.
    pub ping_every: Duration,
    /// Time without any frame of the device after which it counts as dead.
    pub dead_after: Duration,
    /// Tunnel sessions that may be open on one connection, apart from those of the broker's own work
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

/// Input of a session.
#[derive(Debug)]
pub enum Event<'a> {
    /// A whole binary message.
    Message(&'a Bytes),
    /// Some frame has arrived, such as a pong.
    Heard,
    /// The answer to [`Action::Claim`], with random texts for it.
    Claimed(Claimed, RandomTexts),
    /// An operator has changed the domain of the device: its present membership, with random texts for it.
    Rechecked(Option<Membership>, RandomTexts),
    /// The answer to [`Action::Join`]: whether the domain has accepted the member.
    Joined(bool),
    /// The answer to [`Action::Plan`].
    Planned(Planned),
    /// The jobs of the domain have changed.
    Replan,
    /// The administrative password of the domain has changed: the present membership, and sixteen letters and digits.
    AdminPassword(Membership, Box<str>),
    /// The answer to [`Action::Deposit`]: whether it has succeeded.
    Deposited(bool),
    /// The answer to [`Action::ClaimPort`]: `None` for success, else the error text. It may also come later, after
    /// [`Event::PortWaits`].
    PortClaimed(Option<&'static str>),
    /// The answer to [`Action::ClaimPort`]: the decision on its code waits (`docs/protocol/sysclient.md` 9.1).
    PortWaits,
    /// The decision on the code of the oldest port is due: it is claimed again.
    PortDue,
    /// The decision on what this identify offers is due: it is claimed again. With a code, that code; without one, the
    /// query.
    OfferDue(Arc<Identify>),
    /// An HTTP request for the device. Its outcome is reported as [`Action::Tunnel`] with this id.
    Open(TunnelId, TunnelRequest),
    /// The requester has taken all bytes of the answer sent so far.
    Taken(TunnelId),
    /// Bytes for the device after an upgrade, one piece at a time: the next one after [`Output::Sent`].
    Pipe(TunnelId, Bytes),
    /// The requester has gone away.
    Abandon(TunnelId),
    /// The time of [`super::session::Session::deadline`] has come.
    Tick,
    /// The actor of the tenant has died; a new one takes over its members.
    DomainLost,
    /// The connection has to be closed for a reason outside the protocol.
    End(Close),
    /// The server stops: close the connection with [`Close::Stopping`] as soon as nothing is under way on it.
    Stop,
}

/// Number of a tunnel session between shell and session; never reused on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TunnelId(pub u64);

impl TunnelId {
    /// The first of the numbers for tunnels of the session's own work; the shell counts from 1.
    const OWN: u64 = 1 << 63;

    /// The `number`th tunnel of the session's own work.
    pub(super) const fn own(number: u32) -> Self {
        Self(Self::OWN | number as u64)
    }

    /// Whether it is a tunnel of the session's own work.
    pub(super) const fn is_own(self) -> bool {
        self.0 & Self::OWN != 0
    }
}

/// An HTTP request as it goes into the tunnel (`docs/protocol/sysclient.md` 8.2).
#[derive(Clone, PartialEq, Eq)]
pub struct TunnelRequest {
    /// Head and body; the head at most [`crate::core::protocol::sysclient::tunnel::REQUEST_HEAD_MAX`] bytes.
    pub bytes: Bytes,
    /// The kind of answer that may follow.
    pub expects: Expects,
}

impl std::fmt::Debug for TunnelRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bytes may contain passwords and must not be logged.
        f.debug_struct("TunnelRequest").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// Result of a request, in this order: a head, pieces of the body, the end; or a failure at any point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The head of the answer.
    Head(Head),
    /// A piece of the body; [`Event::Taken`] asks for the next one.
    Body(Bytes),
    /// The device has taken the bytes of [`Event::Pipe`].
    Sent,
    /// The answer is complete.
    Done,
    /// There will be no answer.
    Failed(Failure),
    /// The answer has begun and will never be complete.
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
pub struct RandomTexts {
    /// Ten decimal digits for a challenge.
    pub challenge: Box<str>,
    /// Sixteen letters and digits for an administrative password.
    pub seed: Box<str>,
}

/// Result of a claim.
#[derive(Debug)]
pub enum Claimed {
    /// The device has entered a domain: the record is stored, the password is new.
    Entered(Membership),
    /// The device belongs to a domain, and nothing has changed.
    Known {
        /// The membership that it may prove.
        membership: Membership,
        /// If it cannot answer the challenge, its query admits it again.
        again_by_query: bool,
        /// The challenge is sent after this time.
        challenge_after: Duration,
    },
    /// The device belongs to no domain.
    Unknown,
    /// The store is unavailable.
    Unavailable,
}

/// A device and the administrative password to hand out, if any.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The record.
    pub device: Box<Device>,
    /// Administrative password, chosen by the rules of `docs/protocol/sysclient.md` 3.4.
    pub hand_out: Option<Secret>,
}

/// What [`Action::Plan`] starts from.
#[derive(Debug)]
pub enum Basis {
    /// This record of a device that has just registered.
    Registered(Box<Device>),
    /// This record.
    Record(Box<Device>),
    /// The record in the store, with these facts if there are any.
    Store(Option<Box<Facts>>),
}

/// The work for a member (`docs/protocol/sysclient.md` 5.2).
#[derive(Debug)]
pub enum Planned {
    /// There is a plan.
    Work {
        /// The record that the plan was made for.
        device: Box<Device>,
        /// The plan.
        plan: Box<Plan>,
        /// Sixteen letters and digits for each item of the plan.
        seeds: Vec<Box<str>>,
        /// The time of day of the plan.
        now: UnixMillis,
    },
    /// The device no longer belongs to this domain.
    Gone,
    /// The store is unavailable.
    Unavailable,
}

/// Output of a session: what the shell has to do.
#[derive(Debug)]
pub enum Action {
    /// Send a binary message.
    Send(Vec<u8>),
    /// Send a WebSocket ping.
    Ping,
    /// Close; no action follows.
    Close(Close),
    /// Look the device up and let it enter if it may.
    Claim(Arc<Identify>, Stage),
    /// Make this connection the member for the device in its domain.
    Join(DomainName),
    /// Make a plan.
    Plan(Basis),
    /// Store the progress of the work.
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
    /// The facts of the device have changed.
    Refresh(Box<Facts>),
    /// A part of the answer to a request.
    Tunnel(TunnelId, Output),
    /// Count a wrong digest.
    WrongDigest,
    /// The port whose decision waits was dropped for a newer one.
    DropPort,
    /// A message was dropped (`docs/protocol/sysclient.md` section 9, "drop").
    Dropped,
}

impl Action {
    /// Whether an event answers it.
    pub const fn is_question(&self) -> bool {
        matches!(self, Self::Claim(..) | Self::Join(_) | Self::Plan(_) | Self::Deposit(_) | Self::ClaimPort { .. })
    }

    /// Whether it is output of a tunnel of the session's own work.
    pub(super) const fn is_of_own_line(&self) -> bool {
        matches!(self, Self::Tunnel(id, _) if id.is_own())
    }
}

impl Event<'_> {
    /// Whether it answers a question.
    pub const fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Claimed(..)
                | Self::Joined(_)
                | Self::Planned(_)
                | Self::Deposited(_)
                | Self::PortClaimed(_)
                | Self::PortWaits
        )
    }
}
