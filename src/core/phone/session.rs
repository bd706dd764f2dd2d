//! The server side of one device connection as a state machine (`sysclient.md` section 5).
//!
//! Events come in, actions go out. The shell performs an action that asks for something ([`Action::Claim`], [`Action::Join`],
//! [`Action::Plan`], [`Action::Deposit`], [`Action::ClaimPort`]) and gives the answer as the next event; until then it hands in
//! no message of the device. There is at most one such question at a time.

use std::time::Duration;

use bytes::Bytes;

use crate::core::close::Close;
use crate::core::entry::Stage;
use crate::core::ids::{DeviceKey, DomainName};
use crate::core::sysclient::admin::{Identify, OfferedCode};
use crate::core::sysclient::frame::{self, FromDevice, FromServer};
use crate::core::time::Tick;

use super::event::{
    Action, Claimed, Draw, Event, Membership, Output, Plan, Settings, TunnelId, TunnelRefused, TunnelRequest,
};
use super::state::{Challenged, Member, State, hand_out};

/// A challenge is valid this long (`sysclient.md` 3.3).
const CHALLENGE_VALID: Duration = Duration::from_secs(30);

/// Wrong codes that one connection may try.
const BAD_CODES: u8 = 3;

/// Messages of unknown tunnel sessions in a minute before the connection is closed (`sysclient.md` 7.4).
const STRAY_MESSAGES: u32 = 100;

/// A deposit that failed is tried again after this time.
const DEPOSIT_AGAIN: Duration = Duration::from_secs(5);

/// The server side of one device connection.
#[derive(Debug)]
pub struct Session {
    state: State,
    key: Option<DeviceKey>,
    /// The identify that is being claimed, without code and digest.
    said: Option<Box<Identify>>,
    opened: Tick,
    heard: Tick,
    pinged: Tick,
    bad_codes: u8,
    strays: u32,
    strays_since: Tick,
}

impl Session {
    /// A connection that was opened `now`.
    pub const fn new(now: Tick) -> Self {
        Self {
            state: State::New,
            key: None,
            said: None,
            opened: now,
            heard: now,
            pinged: now,
            bad_codes: 0,
            strays: 0,
            strays_since: now,
        }
    }

    /// The device, once it has said who it is.
    pub const fn key(&self) -> Option<&DeviceKey> {
        self.key.as_ref()
    }

    /// The domain that this connection is a member of.
    pub const fn domain(&self) -> Option<&DomainName> {
        match &self.state {
            State::Member(member) => Some(&member.domain),
            _ => None,
        }
    }

    /// Whether the device is kept as unassigned.
    pub const fn is_unassigned(&self) -> bool {
        matches!(self.state, State::Unassigned)
    }

    /// When the next [`Event::Tick`] is due.
    pub fn deadline(&self, settings: &Settings) -> Tick {
        let alive = (self.pinged + settings.ping_every).min(self.heard + settings.dead_after);
        match &self.state {
            State::New => alive.min(self.opened + settings.identify),
            State::Challenged(c) if c.again.is_some() => alive.min(c.since + in_vain_after(settings)),
            State::Challenged(c) => alive.min(c.since + settings.challenged),
            State::Member(m) => [m.deposit_at, m.tunnels.deadline()].into_iter().flatten().fold(alive, Tick::min),
            State::Unassigned | State::Closed => alive,
        }
    }

    /// Takes an event and says what to do.
    pub fn on(&mut self, event: Event<'_>, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        if matches!(self.state, State::Closed) {
            return;
        }
        match event {
            Event::Message(bytes) => {
                self.heard = now;
                self.on_message(bytes, now, actions);
            }
            Event::Heard => self.heard = now,
            Event::Claimed(claimed, draw) => self.on_claimed(claimed, draw, now, actions),
            Event::Joined(joined) => self.on_joined(joined, actions),
            Event::Planned(plan) => self.on_planned(plan, actions),
            Event::Deposited(done) => {
                if let State::Member(member) = &mut self.state {
                    member.owed = member.owed.filter(|_| !done);
                    member.deposit_at = (!done).then(|| now + DEPOSIT_AGAIN);
                }
            }
            Event::PortClaimed(error) => {
                actions.push(Action::Send(FromServer::ProvisionResult { error: error.map(Into::into) }.encode()));
            }
            Event::Open(id, request) => self.open_tunnel(id, request, now, settings, actions),
            Event::Taken(id) => {
                if let State::Member(member) = &mut self.state {
                    member.tunnels.taken(id, now, actions);
                }
            }
            Event::Pipe(id, bytes) => {
                if let State::Member(member) = &mut self.state {
                    member.tunnels.client(id, bytes, now, actions);
                }
            }
            Event::Abandon(id) => {
                if let State::Member(member) = &mut self.state {
                    member.tunnels.abandon(id, now, actions);
                }
            }
            Event::Tick => self.on_tick(now, settings, actions),
            Event::DomainLost => {
                if let State::Member(member) = &self.state {
                    actions.push(Action::Join(member.domain.clone()));
                }
            }
            Event::End(close) => self.close(close, actions),
        }
    }

    fn open_tunnel(
        &mut self,
        id: TunnelId,
        request: TunnelRequest,
        now: Tick,
        settings: &Settings,
        actions: &mut Vec<Action>,
    ) {
        let opened = match &mut self.state {
            State::Member(member) => member.tunnels.open(id, request, settings.max_tunnels, now, actions),
            _ => Err(TunnelRefused::NotMember),
        };
        if let Err(refused) = opened {
            actions.push(Action::Tunnel(id, Output::Refused(refused)));
        }
    }

    fn close(&mut self, close: Close, actions: &mut Vec<Action>) {
        if let State::Member(member) = &mut self.state {
            member.tunnels.lost(actions);
        }
        self.state = State::Closed;
        actions.push(Action::Close(close));
    }

    fn on_message(&mut self, bytes: &Bytes, now: Tick, actions: &mut Vec<Action>) {
        match frame::decode_from_device(bytes) {
            Ok(FromDevice::Identify(identify)) => self.on_identify(identify, now, actions),
            Ok(FromDevice::Provision { port, code }) => self.on_provision(port, &code, actions),
            Ok(FromDevice::Tunnel { session, event }) => {
                let known = match &mut self.state {
                    State::Member(member) => member.tunnels.device(session, event, now, actions),
                    _ => false,
                };
                if !known {
                    self.on_stray(now, actions);
                }
            }
            Ok(FromDevice::Ignored(_)) => actions.push(Action::Dropped),
            Err(error) => self.close(error.close(), actions),
        }
    }

    /// A message of a tunnel session that is not open (`sysclient.md` 7.4).
    fn on_stray(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if now.since(self.strays_since) >= Duration::from_secs(60) {
            self.strays_since = now;
            self.strays = 0;
        }
        self.strays += 1;
        if self.strays > STRAY_MESSAGES {
            self.close(Close::TooMany, actions);
        } else {
            actions.push(Action::Dropped);
        }
    }

    fn on_identify(&mut self, identify: Box<Identify>, now: Tick, actions: &mut Vec<Action>) {
        let key = identify.id.key();
        // One connection is one device. Otherwise a challenge of one could be answered for another.
        if self.key.as_ref().is_some_and(|k| *k != key) {
            return self.close(Close::NotAllowed, actions);
        }
        self.key = Some(key);
        match &mut self.state {
            State::New | State::Unassigned => {
                self.said = Some(Box::new(Identify { code: OfferedCode::None, digest: None, ..(*identify).clone() }));
                actions.push(Action::Claim(identify, Stage::Open));
            }
            State::Challenged(challenged) => {
                let open = std::mem::take(&mut challenged.open) && now.since(challenged.since) < CHALLENGE_VALID;
                match &identify.digest {
                    Some(_) if open => self.on_digest(identify, actions),
                    _ => {
                        challenged.open = open;
                        if identify.code != OfferedCode::None || challenged.again.take().is_some() {
                            actions.push(Action::Claim(identify, Stage::Challenged));
                        }
                    }
                }
            }
            State::Member(member) => {
                member.heed(&identify.facts);
                if identify.code == OfferedCode::None {
                    actions.push(Action::Refresh(Box::new(identify.facts)));
                } else {
                    actions.push(Action::Claim(identify, Stage::Member));
                }
            }
            State::Closed => {}
        }
    }

    fn on_digest(&mut self, identify: Box<Identify>, actions: &mut Vec<Action>) {
        let State::Challenged(challenged) = &mut self.state else { return };
        let device = &challenged.membership.device;
        if !identify.answers(&challenged.challenge, &device.password) {
            actions.push(Action::WrongDigest);
            if challenged.again.take().is_some() {
                actions.push(Action::Claim(identify, Stage::Challenged));
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
        let then = (identify.code != OfferedCode::None).then(|| identify.clone());
        let member = Member::of(device, &identify.facts, then);
        self.become_member(member, actions);
    }

    fn become_member(&mut self, member: Member, actions: &mut Vec<Action>) {
        actions.push(Action::Join(member.domain.clone()));
        self.state = State::Member(Box::new(member));
    }

    fn on_claimed(&mut self, claimed: Claimed, draw: Draw, now: Tick, actions: &mut Vec<Action>) {
        let said = self.said.take();
        if let Claimed::Entered(membership) = claimed {
            let password = membership.device.password.clone();
            actions.push(Action::Send(FromServer::Password(password).encode()));
            hand_out(&membership, &draw.seed, actions);
            let member = Member::of(&membership.device, &membership.device.facts, None);
            return self.become_member(member, actions);
        }
        if let State::Member(member) = &mut self.state {
            // A member stays one whatever became of its code: not let in again, attempts used up, or the store away.
            match claimed {
                Claimed::Unknown { .. } => self.close(Close::Removed, actions),
                _ if member.planned => {}
                _ => member.plan(actions),
            }
            return;
        }
        let bad_code = match claimed {
            Claimed::Known { membership, again_by_query, bad_code } => {
                if !matches!(self.state, State::Challenged(_)) {
                    self.challenge(*membership, said.filter(|_| again_by_query), draw, now, actions);
                }
                bad_code
            }
            Claimed::Unknown { bad_code } => {
                self.state = State::Unassigned;
                bad_code
            }
            Claimed::Blocked => return self.close(Close::TooMany, actions),
            Claimed::Unavailable => return self.close(Close::Overload, actions),
            Claimed::Entered(_) => return,
        };
        self.bad_codes += u8::from(bad_code);
        if self.bad_codes > BAD_CODES {
            self.close(Close::TooMany, actions);
        }
    }

    fn challenge(
        &mut self,
        membership: Membership,
        again: Option<Box<Identify>>,
        draw: Draw,
        now: Tick,
        actions: &mut Vec<Action>,
    ) {
        actions.push(Action::Send(FromServer::Challenge(draw.challenge.clone()).encode()));
        self.state = State::Challenged(Box::new(Challenged {
            membership,
            challenge: draw.challenge,
            open: true,
            since: now,
            seed: draw.seed,
            again,
        }));
    }

    fn on_joined(&mut self, joined: bool, actions: &mut Vec<Action>) {
        let State::Member(member) = &mut self.state else { return };
        if !joined {
            return self.close(Close::Overload, actions);
        }
        match member.then.take() {
            Some(identify) => actions.push(Action::Claim(identify, Stage::Member)),
            None if !member.planned => member.plan(actions),
            None => {}
        }
    }

    fn on_planned(&mut self, plan: Plan, actions: &mut Vec<Action>) {
        let State::Member(member) = &mut self.state else { return };
        if member.other {
            let mut items: Vec<_> = plan.items.into_iter().map(Some).collect();
            if items.is_empty() {
                items.push(None);
            }
            let last = items.len() - 1;
            let messages = items.into_iter().enumerate();
            let messages = messages.map(|(n, item)| FromServer::Configuration { item, last: n == last });
            actions.extend(messages.map(|message| Action::Send(message.encode())));
        }
        if let Some(code) = member.owed {
            actions.push(Action::Deposit(code));
        }
    }

    fn on_provision(&mut self, port: Box<str>, code: &OfferedCode, actions: &mut Vec<Action>) {
        let refusal = match &self.state {
            State::Member(member) if member.fxs => None,
            State::Member(_) => Some("no such port"),
            _ => Some("not in a domain"),
        };
        if let Some(error) = refusal {
            actions.push(Action::Send(FromServer::ProvisionResult { error: Some(error.into()) }.encode()));
            return;
        }
        let code = match code {
            OfferedCode::Code(code) => Some(*code),
            OfferedCode::None | OfferedCode::Malformed => None,
        };
        actions.push(Action::ClaimPort { port, code });
    }

    fn on_tick(&mut self, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        let over = match &mut self.state {
            State::New => now.since(self.opened) >= settings.identify,
            State::Challenged(challenged) => {
                let waited = now.since(challenged.since);
                let over = waited >= settings.challenged || now.since(self.heard) >= settings.dead_after;
                if !over && waited >= in_vain_after(settings) {
                    let again = challenged.again.take();
                    actions.extend(again.map(|identify| Action::Claim(identify, Stage::Challenged)));
                }
                waited >= settings.challenged
            }
            State::Member(member) => {
                member.tunnels.expire(now, actions);
                if member.deposit_at.is_some_and(|at| now >= at) {
                    member.deposit_at = None;
                    actions.extend(member.owed.map(Action::Deposit));
                }
                false
            }
            State::Unassigned | State::Closed => false,
        };
        if over {
            return self.close(Close::TooLate, actions);
        }
        if now.since(self.heard) >= settings.dead_after {
            return self.close(Close::Silent, actions);
        }
        if now.since(self.pinged) >= settings.ping_every {
            self.pinged = now;
            actions.push(Action::Ping);
        }
    }
}

/// A device that has not answered by now cannot: known ones without their password keep silent. In good time before the
/// connection ends, however short the configuration makes it.
fn in_vain_after(settings: &Settings) -> Duration {
    CHALLENGE_VALID.min(settings.challenged / 2)
}

#[cfg(test)]
mod tests;
