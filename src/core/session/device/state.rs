//! What the server side of a device connection has reached, and what it holds there.

use std::sync::Arc;

use crate::core::model::device::{Device, Facts, Way};
use crate::core::model::ids::{Code, DomainName};
use crate::core::model::time::{Tick, UnixMillis};
use crate::core::protocol::sysclient::admin::Identify;
use crate::core::protocol::sysclient::auth;
use crate::core::protocol::sysclient::frame::FromServer;

use super::event::{Action, Basis, Membership, TunnelId};
use super::tunnels::Tunnels;
use super::worker::Worker;

#[derive(Debug)]
pub(super) enum State {
    New,
    Unassigned,
    Challenged(Box<Challenged>),
    Member(Box<Member>),
    Closed,
}

#[derive(Debug)]
pub(super) struct Challenged {
    pub(super) membership: Membership,
    pub(super) challenge: Box<str>,
    pub(super) open: bool,
    pub(super) since: Tick,
    pub(super) seed: Box<str>,
    /// The identify to try again with, without code and digest, if the query lets the device in once more.
    pub(super) again: Option<Arc<Identify>>,
}

// Independent facts, not one state in disguise.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug)]
pub(super) struct Member {
    pub(super) domain: DomainName,
    /// Its last entry.
    pub(super) entered: UnixMillis,
    pub(super) fxs: bool,
    pub(super) other: bool,
    /// The code whose notice is owed to Users.
    pub(super) owed: Option<Code>,
    pub(super) deposit_at: Option<Tick>,
    /// The domain has not taken it in, and is asked again then.
    pub(super) join_at: Option<Tick>,
    /// An identify whose code waits until the member has joined.
    pub(super) then: Option<Box<Identify>>,
    /// The record, until the work is planned for the first time.
    pub(super) record: Option<Box<Device>>,
    /// The work has been asked for.
    pub(super) planned: bool,
    /// The first batch of items has gone out.
    pub(super) greeted: bool,
    /// The work is looked at again then.
    pub(super) look_at: Option<Tick>,
    pub(super) worker: Option<Box<Worker>>,
    /// The tunnel of the line that is under way.
    pub(super) line: Option<TunnelId>,
    pub(super) lines: u32,
    pub(super) tunnels: Tunnels,
}

impl Member {
    pub(super) fn of(device: Box<Device>, then: Option<Box<Identify>>) -> Self {
        Self {
            domain: device.domain.clone(),
            entered: device.entered,
            fxs: device.facts.fxs,
            other: device.facts.other,
            owed: device.pending,
            deposit_at: None,
            join_at: None,
            then,
            record: Some(device),
            planned: false,
            greeted: false,
            look_at: None,
            worker: None,
            line: None,
            lines: 0,
            tunnels: Tunnels::default(),
        }
    }

    /// Whether lines are under way.
    pub(super) fn is_busy(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.is_busy())
    }

    /// The device says something new of itself.
    pub(super) fn heed(&mut self, facts: &Facts) {
        (self.fxs, self.other) = (facts.fxs, facts.other);
        if let Some(device) = self.worker.as_mut().map(|w| &mut w.device).or(self.record.as_mut()) {
            device.facts = facts.clone();
        }
    }

    /// The administrative password of the domain has changed. Devices that entered by automatic provisioning keep their own
    /// (`docs/protocol/sysclient.md` 3.4).
    pub(super) fn hand_out_anew(&self, membership: &Membership, seed: &str, actions: &mut Vec<Action>) {
        if membership.device.domain == self.domain && membership.device.way != Way::Auto {
            hand_out(membership, seed, actions);
        }
    }

    pub(super) fn plan(&mut self, actions: &mut Vec<Action>) {
        self.planned = true;
        actions.push(Action::Plan(self.record.take().map_or(Basis::Store(None), Basis::Registered)));
    }
}

/// Hands out the administrative password, if there is one to hand out (`docs/protocol/sysclient.md` 3.4).
pub(super) fn hand_out(membership: &Membership, seed: &str, actions: &mut Vec<Action>) {
    if let Some(password) = membership.hand_out.as_ref().filter(|p| !p.is_empty()) {
        let pwd = auth::seal_admin_password(seed, &membership.device.password, password);
        let message = FromServer::AdminPassword { seed: seed.into(), pwd: pwd.into() };
        actions.push(Action::Send(message.encode()));
    }
}
