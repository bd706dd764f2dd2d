//! The server's side of one device connection as a state machine (`docs/protocol/sysclient.md` section 5).
//!
//! Some actions are questions ([`Action::Claim`], [`Action::Join`], [`Action::Plan`], [`Action::Deposit`],
//! [`Action::ClaimPort`]); the shell returns the answer as an event. At most one question is open at a time, and until
//! it is answered the shell must not hand in a message of the device.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::core::model::ids::{Code, DeviceKey, DomainName};
use crate::core::model::time::Tick;
use crate::core::policy::entry::Stage;
use crate::core::protocol::close::Close;
use crate::core::protocol::sysclient::admin::{Identify, OfferedCode};
use crate::core::protocol::sysclient::frame::{self, FromDevice, FromServer};

use super::event::{Action, Basis, Claimed, Event, Membership, RandomTexts, Settings};
use super::state::{Challenged, State};
use stopping::ANSWERED_WITHIN;

/// How long a challenge is valid (`docs/protocol/sysclient.md` 3.3).
const CHALLENGE_VALID: Duration = Duration::from_secs(30);

/// Messages of unknown tunnel sessions per minute that close the connection (`docs/protocol/sysclient.md` 7.4).
const STRAY_MESSAGES: u32 = 100;

/// The server's side of one device connection.
#[derive(Debug)]
pub struct Session {
    state: State,
    key: Option<DeviceKey>,
    /// The identify that is being claimed.
    claiming: Option<Arc<Identify>>,
    opened: Tick,
    last_frame: Tick,
    pinged: Tick,
    /// Ports that are claimed one after the other (`docs/protocol/sysclient.md` 3.5).
    ports: VecDeque<(Box<str>, Option<Code>)>,
    strays: u32,
    strays_since: Tick,
    /// Set when the server stops: the connection closes as soon as nothing is under way.
    stopping: bool,
    /// A question is open.
    asking: bool,
}

impl Session {
    /// A connection that was opened `now`.
    pub const fn new(now: Tick) -> Self {
        Self {
            state: State::New,
            key: None,
            claiming: None,
            opened: now,
            last_frame: now,
            pinged: now,
            ports: VecDeque::new(),
            strays: 0,
            strays_since: now,
            stopping: false,
            asking: false,
        }
    }

    /// The device, after its first identify.
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

    /// Whether a question is open.
    pub const fn is_asking(&self) -> bool {
        self.asking
    }

    /// Whether the device is registered as unassigned.
    pub const fn is_unassigned(&self) -> bool {
        matches!(self.state, State::Unassigned)
    }

    /// When the next [`Event::Tick`] is due.
    pub fn deadline(&self, settings: &Settings) -> Tick {
        let alive = (self.pinged + settings.ping_every).min(self.last_frame + settings.dead_after);
        match &self.state {
            State::New => alive.min(self.opened + settings.identify),
            State::Challenged(c) if c.send_at.is_some() => c.send_at.into_iter().fold(alive, Tick::min),
            State::Challenged(c) if self.stopping => alive.min(c.since + ANSWERED_WITHIN),
            State::Challenged(c) if c.again.is_some() => alive.min(c.since + unanswered_after(settings)),
            State::Challenged(c) => alive.min(c.since + settings.challenged),
            State::Member(m) => [m.join_at, m.deposit_at, m.replan_at, m.tunnels.deadline()]
                .into_iter()
                .flatten()
                .fold(alive, Tick::min),
            State::Unassigned | State::Closed => alive,
        }
    }

    /// Handles an event and appends the resulting actions.
    pub fn on(&mut self, event: Event<'_>, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        if matches!(self.state, State::Closed) {
            return;
        }
        self.asking &= !event.is_answer();
        match event {
            Event::Message(bytes) => {
                self.last_frame = now;
                self.on_message(bytes, now, actions);
            }
            Event::Heard => self.last_frame = now,
            Event::Claimed(claimed, random) => self.on_claimed(claimed, random, now, actions),
            Event::Rechecked(found, random) => self.on_rechecked(found, &random, actions),
            Event::Joined(joined) => self.on_joined(joined, now, actions),
            Event::Planned(planned) => self.on_planned(planned, now, settings, actions),
            Event::Replan => self.on_replan(actions),
            Event::AdminPassword(membership, seed) => {
                if let State::Member(member) = &self.state {
                    member.hand_out_changed(&membership, &seed, actions);
                }
            }
            Event::Deposited(done) => self.on_deposited(done, now, settings, actions),
            Event::PortClaimed(error) => self.on_port_claimed(error, actions),
            Event::PortWaits => {}
            Event::PortDue => self.claim_port(actions),
            Event::OfferDue(identify) => self.on_offer_due(identify, now, settings, actions),
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
                if let State::Member(member) = &mut self.state {
                    member.join_at = None;
                    actions.push(Action::Join(member.domain.clone()));
                }
            }
            Event::End(close) => self.close(close, actions),
            Event::Stop => self.stopping = true,
        }
        self.handle_own_tunnels(now, settings, actions);
        self.asking |= actions.iter().any(Action::is_question);
        self.stop_if_idle(now, actions);
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

    /// Counts a message of a tunnel session that is not open (`docs/protocol/sysclient.md` 7.4).
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
        // A connection belongs to one device. Otherwise a challenge for one could be answered for another.
        if self.key.as_ref().is_some_and(|k| *k != key) {
            return self.close(Close::NotAllowed, actions);
        }
        self.key = Some(key);
        match &mut self.state {
            State::New | State::Unassigned => {
                let identify = Arc::from(identify);
                self.claiming = Some(Arc::clone(&identify));
                actions.push(Action::Claim(identify, Stage::Open));
            }
            State::Challenged(challenged) => {
                let open = std::mem::take(&mut challenged.open) && now.since(challenged.since) < CHALLENGE_VALID;
                match &identify.digest {
                    Some(_) if open => self.on_digest(identify, actions),
                    _ => {
                        challenged.open = open;
                        if identify.code != OfferedCode::None || challenged.again.take().is_some() {
                            actions.push(Action::Claim(identify.into(), Stage::Challenged));
                        }
                    }
                }
            }
            State::Member(member) => {
                member.update_facts(&identify.facts);
                if identify.code == OfferedCode::None {
                    let facts = Box::new(identify.facts);
                    actions.push(Action::Refresh(facts.clone()));
                    self.on_new_facts(facts, actions);
                } else {
                    actions.push(Action::Claim(identify.into(), Stage::Member));
                }
            }
            State::Closed => {}
        }
    }

    fn on_claimed(&mut self, claimed: Claimed, random: RandomTexts, now: Tick, actions: &mut Vec<Action>) {
        let claiming = self.claiming.take();
        if let Claimed::Entered(membership) = claimed {
            return self.enter(membership, &random, actions);
        }
        if let State::Member(member) = &mut self.state {
            // A member stays a member whatever the result of its code: no new entry, or no store.
            match claimed {
                Claimed::Unknown => self.close(Close::Removed, actions),
                // No work starts before the member has joined.
                _ if member.planned || member.join_at.is_some() => {}
                _ => member.plan(actions),
            }
            return;
        }
        match claimed {
            Claimed::Known { membership, again_by_query, challenge_after } => {
                if !matches!(self.state, State::Challenged(_)) {
                    let again = claiming.filter(|_| again_by_query);
                    self.challenge(membership, again, random, now + challenge_after);
                    self.send_challenge(now, actions);
                }
            }
            Claimed::Unknown => self.state = State::Unassigned,
            Claimed::Unavailable => self.close(Close::Overload, actions),
            Claimed::Entered(_) => {}
        }
    }

    /// The decision on an offer that waited is due; it is made as if the offer came now.
    fn on_offer_due(&mut self, identify: Arc<Identify>, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        let stage = match &mut self.state {
            State::New | State::Unassigned => {
                self.claiming = Some(Arc::clone(&identify));
                Stage::Open
            }
            // The query admits it again only if it cannot answer, so its time for the answer is not cut short.
            State::Challenged(challenged)
                if identify.code == OfferedCode::None && challenged.is_awaited(now, unanswered_after(settings)) =>
            {
                challenged.again = Some(identify);
                return;
            }
            State::Challenged(_) => Stage::Challenged,
            State::Member(_) => Stage::Member,
            State::Closed => return,
        };
        actions.push(Action::Claim(identify, stage));
    }

    fn challenge(&mut self, membership: Membership, again: Option<Arc<Identify>>, random: RandomTexts, send_at: Tick) {
        self.state = State::Challenged(Box::new(Challenged {
            membership,
            challenge: random.challenge,
            open: false,
            send_at: Some(send_at),
            since: send_at,
            seed: random.seed,
            again: again
                .map(|claiming| Arc::new(Identify { code: OfferedCode::None, digest: None, ..(*claiming).clone() })),
        }));
    }

    /// Sends the challenge if its time has come; the time for its answer runs from here.
    fn send_challenge(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if let State::Challenged(challenged) = &mut self.state
            && challenged.send_at.is_some_and(|at| at <= now)
        {
            (challenged.send_at, challenged.open, challenged.since) = (None, true, now);
            actions.push(Action::Send(FromServer::Challenge(challenged.challenge.clone()).encode()));
        }
    }

    fn on_tick(&mut self, now: Tick, settings: &Settings, actions: &mut Vec<Action>) {
        self.send_challenge(now, actions);
        let over = match &mut self.state {
            // Its time does not run before the challenge was sent.
            State::Challenged(challenged) if challenged.send_at.is_some() => false,
            State::New => now.since(self.opened) >= settings.identify,
            State::Challenged(challenged) => {
                let waited = now.since(challenged.since);
                let over = waited >= settings.challenged || now.since(self.last_frame) >= settings.dead_after;
                if !over && waited >= unanswered_after(settings) {
                    let again = challenged.again.take();
                    actions.extend(again.map(|identify| Action::Claim(identify, Stage::Challenged)));
                }
                waited >= settings.challenged
            }
            State::Member(member) => {
                member.tunnels.expire(now, actions);
                // One question at a time; the others are due at the next tick. A finished line of our own leads to a
                // question.
                if actions.iter().any(Action::is_of_own_line) {
                    return;
                }
                if member.join_at.is_some_and(|at| now >= at) {
                    member.join_at = None;
                    actions.push(Action::Join(member.domain.clone()));
                } else if member.deposit_at.is_some_and(|at| now >= at) {
                    member.deposit_at = None;
                    actions.extend(member.pending_notice.map(Action::Deposit));
                } else if member.replan_at.is_some_and(|at| now >= at) {
                    member.replan_at = None;
                    if !member.is_busy() {
                        actions.push(Action::Plan(Basis::Store(None)));
                    }
                }
                false
            }
            State::Unassigned | State::Closed => false,
        };
        if over {
            return self.close(Close::TooLate, actions);
        }
        if now.since(self.last_frame) >= settings.dead_after {
            return self.close(Close::Silent, actions);
        }
        if now.since(self.pinged) >= settings.ping_every {
            self.pinged = now;
            actions.push(Action::Ping);
        }
    }
}

/// After this time a challenge counts as unanswered: a known device without its password sends nothing. It ends well
/// before the time limit of the connection, however short that is configured.
fn unanswered_after(settings: &Settings) -> Duration {
    CHALLENGE_VALID.min(settings.challenged / 2)
}

mod entering;
mod member;
mod stopping;
#[cfg(test)]
mod tests;
