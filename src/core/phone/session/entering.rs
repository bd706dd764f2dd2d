//! The device has entered a domain, by its own doing or by an operator's order, or has been taken out of one
//! (`sysclient.md` 5.1 and the rows "administrator …" of section 5).

use crate::core::close::Close;
use crate::core::device::{Device, Way};
use crate::core::sysclient::frame::FromServer;

use super::super::event::{Action, Draw, Membership};
use super::super::state::{Member, State, hand_out};
use super::Session;

impl Session {
    /// The device is handed its new password and becomes a member.
    pub(super) fn enter(&mut self, membership: Membership, draw: &Draw, actions: &mut Vec<Action>) {
        actions.push(Action::Send(FromServer::Password(membership.device.password.clone()).encode()));
        hand_out(&membership, &draw.seed, actions);
        let mut member = Member::of(Box::new(membership.device), None);
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
            (State::Member(member), Some(found)) if member.entered == found.device.entered => {}
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
