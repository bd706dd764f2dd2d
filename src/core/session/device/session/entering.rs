//! How a connection becomes a member: by the answer to a challenge, by an entry of its device, or by an operator's
//! order; and how an operator ends the membership (`docs/protocol/sysclient.md` 5.1 and the rows "administrator …" of
//! section 5).

use crate::core::model::device::{Device, Way};
use crate::core::policy::entry::Stage;
use crate::core::protocol::close::Close;
use crate::core::protocol::sysclient::admin::{Identify, OfferedCode};
use crate::core::protocol::sysclient::frame::FromServer;

use super::super::event::{Action, Membership, RandomTexts};
use super::super::state::{Member, State, hand_out};
use super::Session;

impl Session {
    /// Handles the answer to an open challenge.
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
        // The member keeps the record, with the present facts.
        let State::Challenged(challenged) = std::mem::replace(&mut self.state, State::Closed) else { return };
        let mut device = challenged.membership.device;
        let waiting_identify = if identify.code == OfferedCode::None {
            device.facts = identify.facts;
            None
        } else {
            device.facts = identify.facts.clone();
            Some(identify)
        };
        self.become_member(Member::of(device, waiting_identify), actions);
    }

    /// Makes this connection the member for the device.
    fn become_member(&mut self, member: Member, actions: &mut Vec<Action>) {
        actions.push(Action::Join(member.domain.clone()));
        self.state = State::Member(Box::new(member));
    }

    /// Sends the new password; the device becomes a member.
    pub(super) fn enter(&mut self, membership: Membership, random: &RandomTexts, actions: &mut Vec<Action>) {
        actions.push(Action::Send(FromServer::Password(membership.device.password.clone()).encode()));
        hand_out(&membership, &random.seed, actions);
        let mut member = Member::of(membership.device, None);
        if let State::Member(before) = &mut self.state {
            // Requests on the connection continue, unless they belong to another domain.
            (member.tunnels, member.lines) = (std::mem::take(&mut before.tunnels), before.lines);
            if before.domain != member.domain {
                member.tunnels.lost(actions);
            }
        }
        self.become_member(member, actions);
    }

    pub(super) fn on_rechecked(&mut self, found: Option<Membership>, random: &RandomTexts, actions: &mut Vec<Action>) {
        match (&self.state, found) {
            (State::Member(_), None) => self.close(Close::Removed, actions),
            // It stays a member, but other jobs may match it now.
            (State::Member(member), Some(found)) if member.entered == found.device.entered => self.on_replan(actions),
            // It may have identified again just when the order was given, and have been challenged for a password that
            // it never received.
            (State::Unassigned | State::Challenged(_) | State::Member(_), Some(found)) if is_ordered(&found.device) => {
                self.enter(found, random, actions);
            }
            // It has entered again on another connection, or belongs to another domain: it has to prove its password.
            (State::Member(member), Some(found)) if member.domain != found.device.domain => {
                self.close(Close::Removed, actions);
            }
            _ => {}
        }
    }
}

/// Whether an operator's order put the device into the domain and it has not proved the password yet. Only such a
/// password is sent here; a proved one belongs to the device that has proved it.
fn is_ordered(device: &Device) -> bool {
    device.way == Way::Manual && device.tentative
}
