//! All tunnel sessions of one device connection: their numbers, and which message belongs to which (`sysclient.md` 7.3).

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::event::{Action, Output, TunnelId, TunnelRefused, TunnelRequest};
use crate::core::sysclient::frame::{DeviceEvent, FromServer};
use crate::core::sysclient::tunnel::{self, Exchange, Limits};
use crate::core::time::Tick;

/// Greatest session number; a known client keeps them in a signed number (`sysclient.md` 7.3).
const LAST_NUMBER: u32 = 0x7fff_ffff;

/// The tunnel sessions of a connection. Small while there are none.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    /// The number that was given last.
    last: u32,
    open: Option<Box<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    sessions: HashMap<u32, (TunnelId, Exchange)>,
    /// Numbers whose shutdown was never confirmed.
    retired: HashSet<u32>,
}

impl Tunnels {
    /// Opens a session for `id`, unless `most` of those that the shell has opened are open.
    pub(super) fn open(
        &mut self,
        id: TunnelId,
        request: TunnelRequest,
        most: usize,
        now: Tick,
        actions: &mut Vec<Action>,
    ) -> Result<(), TunnelRefused> {
        let open = self.open.get_or_insert_default();
        if id != TunnelId::OWN && open.sessions.values().filter(|(id, _)| *id != TunnelId::OWN).count() >= most {
            return Err(TunnelRefused::TooMany);
        }
        let mut number = self.last;
        loop {
            number = if number >= LAST_NUMBER { 1 } else { number + 1 };
            if !open.sessions.contains_key(&number) && !open.retired.contains(&number) {
                break;
            }
        }
        self.last = number;
        let TunnelRequest { bytes, head_only } = request;
        let (exchange, first) = Exchange::open(number, bytes, head_only, Limits::default(), now);
        open.sessions.insert(number, (id, exchange));
        self.perform(number, id, first, actions);
        Ok(())
    }

    /// A message of the device. False if it belongs to no open session.
    pub(super) fn device(&mut self, number: u32, event: DeviceEvent, now: Tick, actions: &mut Vec<Action>) -> bool {
        let known = self.open.as_mut().and_then(|open| open.sessions.get_mut(&number));
        let Some((id, exchange)) = known else { return false };
        let (id, done) = (*id, exchange.device(event, now));
        self.perform(number, id, done, actions);
        true
    }

    /// The taker of an answer has all bytes that it was given.
    pub(super) fn taken(&mut self, id: TunnelId, now: Tick, actions: &mut Vec<Action>) {
        self.with(id, |exchange| exchange.taken(now), actions);
    }

    /// The taker of an answer has gone away.
    pub(super) fn abandon(&mut self, id: TunnelId, now: Tick, actions: &mut Vec<Action>) {
        self.with(id, |exchange| exchange.abandon(now), actions);
    }

    /// The connection has ended.
    pub(super) fn lost(&mut self, actions: &mut Vec<Action>) {
        for (number, (id, mut exchange)) in self.open.take().map(|open| open.sessions).unwrap_or_default() {
            let done = exchange.lost();
            self.perform(number, id, done, actions);
        }
    }

    /// When the first timer runs out.
    pub(super) fn deadline(&self) -> Option<Tick> {
        self.open.as_ref()?.sessions.values().filter_map(|(_, exchange)| exchange.deadline()).min()
    }

    /// Time has passed.
    pub(super) fn expire(&mut self, now: Tick, actions: &mut Vec<Action>) {
        let Some(open) = &mut self.open else { return };
        let done: Vec<_> =
            open.sessions.iter_mut().map(|(number, (id, exchange))| (*number, *id, exchange.expire(now))).collect();
        for (number, id, done) in done {
            self.perform(number, id, done, actions);
        }
    }

    fn with(
        &mut self,
        id: TunnelId,
        act: impl FnOnce(&mut Exchange) -> Vec<tunnel::Action>,
        actions: &mut Vec<Action>,
    ) {
        let sessions = self.open.as_mut().map(|open| open.sessions.iter_mut());
        let found = sessions.and_then(|mut all| all.find(|(_, (of, _))| *of == id));
        if let Some((number, (_, exchange))) = found {
            let (number, done) = (*number, act(exchange));
            self.perform(number, id, done, actions);
        }
    }

    fn perform(&mut self, number: u32, id: TunnelId, done: Vec<tunnel::Action>, actions: &mut Vec<Action>) {
        for action in done {
            actions.push(match action {
                tunnel::Action::Send(event) => Action::Send(FromServer::Tunnel { session: number, event }.encode()),
                tunnel::Action::Head(head) => Action::Tunnel(id, Output::Head(head)),
                tunnel::Action::Body(bytes) => Action::Tunnel(id, Output::Body(bytes)),
                tunnel::Action::Done => Action::Tunnel(id, Output::Done),
                tunnel::Action::Failed(failure) => Action::Tunnel(id, Output::Failed(failure)),
                tunnel::Action::Abort(failure) => Action::Tunnel(id, Output::Abort(failure)),
                tunnel::Action::Release => {
                    self.forget(number, false);
                    continue;
                }
                tunnel::Action::Retire => {
                    self.forget(number, true);
                    continue;
                }
            });
        }
    }

    fn forget(&mut self, number: u32, retire: bool) {
        let Some(open) = &mut self.open else { return };
        open.sessions.remove(&number);
        if retire {
            open.retired.insert(number);
        }
        if open.sessions.is_empty() && open.retired.is_empty() {
            // Hours may pass before the next one.
            self.open = None;
        }
    }
}

impl TunnelRequest {
    /// A `GET` of this path, already encoded (`sysclient.md` 8.7).
    pub fn get(path: &str) -> Self {
        Self { bytes: Bytes::from(format!("GET {path} HTTP/1.1\r\nHost: device\r\n\r\n")), head_only: false }
    }
}
