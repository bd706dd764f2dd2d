//! The states of the server's side of a device connection.

use std::sync::Arc;

use crate::core::model::device::{Device, Facts};
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
    /// The challenge was sent and not answered.
    pub(super) open: bool,
    /// When the challenge is to be sent; `None`: it was sent.
    pub(super) send_at: Option<Tick>,
    /// When it was sent.
    pub(super) since: Tick,
    pub(super) seed: Box<str>,
    /// The identify to claim again, without code and digest, if the query admits the device again.
    pub(super) again: Option<Arc<Identify>>,
}

impl Challenged {
    /// Whether the device may still answer, so that its time of `within` is not over.
    pub(super) fn is_awaited(&self, now: Tick, within: std::time::Duration) -> bool {
        self.send_at.is_some() || self.open && now.since(self.since) < within
    }
}

// Independent flags, not one state.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug)]
pub(super) struct Member {
    pub(super) domain: DomainName,
    /// Its last entry.
    pub(super) entered: UnixMillis,
    pub(super) fxs: bool,
    pub(super) other: bool,
    /// The code whose notice is not in the mailbox yet.
    pub(super) pending_notice: Option<Code>,
    pub(super) deposit_at: Option<Tick>,
    /// When to ask the domain again, after it has not accepted the member.
    pub(super) join_at: Option<Tick>,
    /// An identify whose code is claimed after the member has joined.
    pub(super) waiting_identify: Option<Box<Identify>>,
    /// The record, until the first plan is made.
    pub(super) record: Option<Box<Device>>,
    /// A plan was asked for.
    pub(super) planned: bool,
    /// The first batch of items was sent.
    pub(super) items_sent: bool,
    /// When to make a new plan.
    pub(super) replan_at: Option<Tick>,
    pub(super) worker: Option<Box<Worker>>,
    /// The tunnel of the line under way.
    pub(super) line: Option<TunnelId>,
    pub(super) lines: u32,
    pub(super) tunnels: Tunnels,
}

impl Member {
    pub(super) fn of(device: Box<Device>, waiting_identify: Option<Box<Identify>>) -> Self {
        Self {
            domain: device.domain.clone(),
            entered: device.entered,
            fxs: device.facts.fxs,
            other: device.facts.other,
            pending_notice: device.pending,
            deposit_at: None,
            join_at: None,
            waiting_identify,
            record: Some(device),
            planned: false,
            items_sent: false,
            replan_at: None,
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

    /// Takes over new facts of the device.
    pub(super) fn update_facts(&mut self, facts: &Facts) {
        (self.fxs, self.other) = (facts.fxs, facts.other);
        if let Some(device) = self.worker.as_mut().map(|w| &mut w.device).or(self.record.as_mut()) {
            device.facts = facts.clone();
        }
    }

    /// Sends the changed administrative password of the domain. Devices with a random one keep that
    /// (`docs/protocol/sysclient.md` 3.4).
    pub(super) fn hand_out_changed(&self, membership: &Membership, seed: &str, actions: &mut Vec<Action>) {
        if membership.device.domain == self.domain && membership.device.admin_password.is_none() {
            hand_out(membership, seed, actions);
        }
    }

    pub(super) fn plan(&mut self, actions: &mut Vec<Action>) {
        self.planned = true;
        actions.push(Action::Plan(self.record.take().map_or(Basis::Store(None), Basis::Registered)));
    }
}

/// Sends the administrative password, if there is one to hand out (`docs/protocol/sysclient.md` 3.4).
pub(super) fn hand_out(membership: &Membership, seed: &str, actions: &mut Vec<Action>) {
    if let Some(password) = membership.hand_out.as_ref().filter(|p| !p.is_empty()) {
        let pwd = auth::seal_admin_password(seed, &membership.device.password, password);
        let message = FromServer::AdminPassword { seed: seed.into(), pwd: pwd.into() };
        actions.push(Action::Send(message.encode()));
    }
}
