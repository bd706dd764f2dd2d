//! How a connection becomes a member: by the answer to a challenge, by an entry of its device, by an operator's order; and how
//! an operator ends that (`docs/protocol/sysclient.md` 5.1 and the rows "administrator …" of section 5).

use crate::core::model::device::{Device, Way};
use crate::core::policy::entry::Stage;
use crate::core::protocol::close::Close;
use crate::core::protocol::sysclient::admin::{Identify, OfferedCode};
use crate::core::protocol::sysclient::frame::FromServer;

use super::super::event::{Action, Draw, Membership};
use super::super::state::{Member, State, hand_out};
use super::Session;

impl Session {
    /// The answer to an open challenge.
    pub(super) fn on_digest(&mut self, identify: Box<Identify>, actions: &mut Vec<Action>) {
        let State::Challenged(challenged) = &mut self.state else { return };
        let device = &challenged.membership.device;
        if !identify.answers(&challenged.challenge, &device.password) {
            actions.push(Action::WrongDigest);
            if challenged.again.take().is_some() {
                actions.push(Action::Claim(identify.into(), Stage::Challenged));
            } else {
                self.close(Close::Refused, actions);
            }
            return;
        }
        actions.push(Action::Proved);
        if device.tentative {
            actions.push(Action::Confirm(device.password.clone()));
        }
        if device.facts != identify.facts {
            actions.push(Action::Refresh(Box::new(identify.facts.clone())));
        }
        hand_out(&challenged.membership, &challenged.seed, actions);
        // The record goes on with the member, as the device is now.
        let State::Challenged(challenged) = std::mem::replace(&mut self.state, State::Closed) else { return };
        let mut device = challenged.membership.device;
        let then = if identify.code == OfferedCode::None {
            device.facts = identify.facts;
            None
        } else {
            device.facts = identify.facts.clone();
            Some(identify)
        };
        self.become_member(Member::of(device, then), actions);
    }

    /// The device belongs to the domain, and this connection is to be its one.
    fn become_member(&mut self, member: Member, actions: &mut Vec<Action>) {
        actions.push(Action::Join(member.domain.clone()));
        self.state = State::Member(Box::new(member));
    }

    /// The device is handed its new password and becomes a member.
    pub(super) fn enter(&mut self, membership: Membership, draw: &Draw, actions: &mut Vec<Action>) {
        actions.push(Action::Send(FromServer::Password(membership.device.password.clone()).encode()));
        hand_out(&membership, &draw.seed, actions);
        let mut member = Member::of(membership.device, None);
        if let State::Member(before) = &mut self.state {
            // The connection is the same, and so are the requests on it; but not those of another domain.
            (member.tunnels, member.lines) = (std::mem::take(&mut before.tunnels), before.lines);
            if before.domain != member.domain {
                member.tunnels.lost(actions);
            }
        }
        self.become_member(member, actions);
    }

    pub(super) fn on_rechecked(&mut self, found: Option<Membership>, draw: &Draw, actions: &mut Vec<Action>) {
        match (&self.state, found) {
            (State::Member(_), None) => self.close(Close::Removed, actions),
            // It stays where it is, but other jobs may match it now.
            (State::Member(member), Some(found)) if member.entered == found.device.entered => self.on_replan(actions),
            // It may have identified again at the very moment of the order, and have been asked for a password that it has
            // never got.
            (State::Unassigned | State::Challenged(_) | State::Member(_), Some(found)) if is_ordered(&found.device) => {
                self.enter(found, draw, actions);
            }
            // It has entered anew on another connection, or belongs elsewhere now: it has to show that it is the device.
            (State::Member(member), Some(found)) if member.domain != found.device.domain => {
                self.close(Close::Removed, actions);
            }
            _ => {}
        }
    }
}

/// Only what an operator has ordered and the device has not answered with yet is handed out here: any other password belongs to
/// who has proved it.
fn is_ordered(device: &Device) -> bool {
    device.way == Way::Manual && device.tentative
}
