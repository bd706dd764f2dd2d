//! What the server side of a device connection has reached, and what it holds there.

use crate::core::device::{Device, Facts};
use crate::core::ids::{Code, DomainName};
use crate::core::sysclient::admin::Identify;
use crate::core::sysclient::auth;
use crate::core::sysclient::frame::FromServer;
use crate::core::time::Tick;

use super::event::{Action, Membership};
use super::tunnels::Tunnels;

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
    /// The identify to try again with, if the query lets the device in once more.
    pub(super) again: Option<Box<Identify>>,
}

// Independent facts, not one state in disguise.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug)]
pub(super) struct Member {
    pub(super) domain: DomainName,
    pub(super) fxs: bool,
    pub(super) other: bool,
    /// The code whose notice is owed to Users.
    pub(super) owed: Option<Code>,
    pub(super) deposit_at: Option<Tick>,
    /// An identify whose code waits until the member has joined.
    pub(super) then: Option<Box<Identify>>,
    /// The work has been asked for.
    pub(super) planned: bool,
    pub(super) tunnels: Tunnels,
}

impl Member {
    pub(super) fn of(device: &Device, facts: &Facts, then: Option<Box<Identify>>) -> Self {
        Self {
            domain: device.domain.clone(),
            fxs: facts.fxs,
            other: facts.other,
            owed: device.pending,
            deposit_at: None,
            then,
            planned: false,
            tunnels: Tunnels::default(),
        }
    }

    /// The device says something new of itself.
    pub(super) fn heed(&mut self, facts: &Facts) {
        (self.fxs, self.other) = (facts.fxs, facts.other);
    }

    pub(super) fn plan(&mut self, actions: &mut Vec<Action>) {
        self.planned = true;
        actions.push(Action::Plan);
    }
}

/// Hands out the administrative password, if there is one to hand out (`sysclient.md` 3.4).
pub(super) fn hand_out(membership: &Membership, seed: &str, actions: &mut Vec<Action>) {
    if let Some(password) = membership.hand_out.as_ref().filter(|p| !p.is_empty()) {
        let pwd = auth::seal_admin_password(seed, &membership.device.password, password);
        let message = FromServer::AdminPassword { seed: seed.into(), pwd: pwd.into() };
        actions.push(Action::Send(message.encode()));
    }
}
