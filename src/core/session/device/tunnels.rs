//! The tunnel sessions of a device connection: assigns their numbers and routes messages to them
//! (`docs/protocol/sysclient.md` 7.3).

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;

use super::event::{Action, Output, TunnelId, TunnelRefused, TunnelRequest};
use crate::core::model::time::Tick;
use crate::core::protocol::sysclient::frame::{DeviceEvent, FromServer, ServerEvent};
use crate::core::protocol::sysclient::tunnel::{self, Expects, HttpExchange, Limits};

/// Greatest session number; known clients keep it in a signed integer (`docs/protocol/sysclient.md` 7.3).
const MAX_NUMBER: u32 = 0x7fff_ffff;

/// Most request bytes in flight to the device, over all sessions; a single longer send goes alone. Otherwise many
/// concurrent uploads would fill the send queue of a device on a slow line, and it would be closed as one that does
/// not read.
const MAX_IN_FLIGHT: usize = 48 * 1024;

/// The tunnel sessions of a connection. Takes little memory while there are none.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    /// The last number assigned.
    last: u32,
    open: Option<Box<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    sessions: HashMap<u32, Entry>,
    /// Numbers whose shutdown was never confirmed; they are not reused.
    retired: HashSet<u32>,
    /// Bytes of sends that the device has not confirmed yet, over all sessions.
    in_flight: usize,
    /// Sessions with a waiting send, in order.
    queue: VecDeque<u32>,
}

#[derive(Debug)]
struct Entry {
    id: TunnelId,
    exchange: HttpExchange,
    /// Bytes of its send that the device has not confirmed yet.
    in_flight: usize,
    /// Its waiting send.
    waiting: Option<Bytes>,
}

impl Tunnels {
    /// Opens a session for `id`, unless `most` sessions opened by the shell are open.
    pub(super) fn open(
        &mut self,
        id: TunnelId,
        request: TunnelRequest,
        most: usize,
        now: Tick,
        actions: &mut Vec<Action>,
    ) -> Result<(), TunnelRefused> {
        let open = self.open.get_or_insert_default();
        if !id.is_own() && open.sessions.values().filter(|entry| !entry.id.is_own()).count() >= most {
            return Err(TunnelRefused::TooMany);
        }
        let mut number = self.last;
        loop {
            number = if number >= MAX_NUMBER { 1 } else { number + 1 };
            if !open.sessions.contains_key(&number) && !open.retired.contains(&number) {
                break;
            }
        }
        self.last = number;
        let TunnelRequest { bytes, expects } = request;
        let (exchange, first) = HttpExchange::open(number, bytes, expects, Limits::default(), now);
        open.sessions.insert(number, Entry { id, exchange, in_flight: 0, waiting: None });
        self.perform(number, first, now, actions);
        Ok(())
    }

    /// Handles a message of the device. False if it belongs to no open session.
    pub(super) fn device(&mut self, number: u32, event: DeviceEvent, now: Tick, actions: &mut Vec<Action>) -> bool {
        let Some(open) = &mut self.open else { return false };
        let Some(entry) = open.sessions.get_mut(&number) else { return false };
        if event == DeviceEvent::SendResult {
            if entry.waiting.is_some() {
                // It confirms a send that was not sent yet.
                return true;
            }
            open.in_flight -= std::mem::take(&mut entry.in_flight);
        }
        let done = entry.exchange.device(event, now);
        self.perform(number, done, now, actions);
        true
    }

    /// The requester has taken all bytes of the answer sent so far.
    pub(super) fn taken(&mut self, id: TunnelId, now: Tick, actions: &mut Vec<Action>) {
        self.with(id, |exchange| exchange.taken(now), now, actions);
    }

    /// The requester has bytes for the device, after an upgrade.
    pub(super) fn client(&mut self, id: TunnelId, bytes: Bytes, now: Tick, actions: &mut Vec<Action>) {
        self.with(id, |exchange| exchange.client(bytes, now), now, actions);
    }

    /// The requester has gone away.
    pub(super) fn abandon(&mut self, id: TunnelId, now: Tick, actions: &mut Vec<Action>) {
        self.with(id, |exchange| exchange.abandon(now), now, actions);
    }

    /// The connection was lost.
    pub(super) fn lost(&mut self, actions: &mut Vec<Action>) {
        for (_, mut entry) in self.open.take().map(|open| open.sessions).unwrap_or_default() {
            let done = entry.exchange.lost();
            actions.extend(done.into_iter().filter_map(output).map(|output| Action::Tunnel(entry.id, output)));
        }
    }

    /// Whether an answer is under way. Upgraded sessions do not count: they have no end of their own.
    pub(super) fn is_busy(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.sessions.values().any(|entry| entry.exchange.is_under_way()))
    }

    /// When the first timer expires.
    pub(super) fn deadline(&self) -> Option<Tick> {
        self.open.as_ref()?.sessions.values().filter_map(|entry| entry.exchange.deadline()).min()
    }

    /// Handles expired timers.
    pub(super) fn expire(&mut self, now: Tick, actions: &mut Vec<Action>) {
        let Some(open) = &mut self.open else { return };
        let sessions = open.sessions.iter_mut();
        let done: Vec<_> = sessions.map(|(number, entry)| (*number, entry.exchange.expire(now))).collect();
        for (number, done) in done {
            self.perform(number, done, now, actions);
        }
    }

    fn with(
        &mut self,
        id: TunnelId,
        act: impl FnOnce(&mut HttpExchange) -> Vec<tunnel::Action>,
        now: Tick,
        actions: &mut Vec<Action>,
    ) {
        let Some(open) = &mut self.open else { return };
        if let Some((number, entry)) = open.sessions.iter_mut().find(|(_, entry)| entry.id == id) {
            let (number, done) = (*number, act(&mut entry.exchange));
            self.perform(number, done, now, actions);
        }
    }

    fn perform(&mut self, number: u32, done: Vec<tunnel::Action>, now: Tick, actions: &mut Vec<Action>) {
        let Some(open) = &mut self.open else { return };
        for action in done {
            let Some(entry) = open.sessions.get_mut(&number) else { return };
            match action {
                tunnel::Action::Send(ServerEvent::Send(bytes)) => {
                    entry.waiting = Some(bytes);
                    entry.exchange.send_deferred();
                    open.queue.push_back(number);
                }
                tunnel::Action::Send(event) => {
                    if event == ServerEvent::Shutdown {
                        // What was not sent yet is dropped.
                        entry.waiting = None;
                    }
                    actions.push(Action::Send(FromServer::Tunnel { session: number, event }.encode()));
                }
                tunnel::Action::Release => open.forget(number),
                tunnel::Action::Retire => {
                    open.retired.insert(number);
                    open.forget(number);
                }
                other => actions.extend(output(other).map(|output| Action::Tunnel(entry.id, output))),
            }
        }
        open.send_waiting(now, actions);
        if open.sessions.is_empty() && open.retired.is_empty() {
            // Release the memory: hours may pass before the next session.
            self.open = None;
        }
    }
}

impl Open {
    fn forget(&mut self, number: u32) {
        if let Some(entry) = self.sessions.remove(&number) {
            self.in_flight -= entry.in_flight;
        }
    }

    /// Sends what waits, up to the limit in flight.
    fn send_waiting(&mut self, now: Tick, actions: &mut Vec<Action>) {
        while let Some(&number) = self.queue.front() {
            if let Some(entry) = self.sessions.get_mut(&number)
                && let Some(bytes) = entry.waiting.take()
            {
                if self.in_flight > 0 && self.in_flight + bytes.len() > MAX_IN_FLIGHT {
                    entry.waiting = Some(bytes);
                    return;
                }
                entry.in_flight = bytes.len();
                self.in_flight += bytes.len();
                entry.exchange.send_released(now);
                let event = ServerEvent::Send(bytes);
                actions.push(Action::Send(FromServer::Tunnel { session: number, event }.encode()));
            }
            self.queue.pop_front();
        }
    }
}

/// The output for the requester.
fn output(action: tunnel::Action) -> Option<Output> {
    Some(match action {
        tunnel::Action::Head(head) => Output::Head(head),
        tunnel::Action::Body(bytes) => Output::Body(bytes),
        tunnel::Action::Sent => Output::Sent,
        tunnel::Action::Done => Output::Done,
        tunnel::Action::Failed(failure) => Output::Failed(failure),
        tunnel::Action::Abort(failure) => Output::Abort(failure),
        tunnel::Action::Send(_) | tunnel::Action::Release | tunnel::Action::Retire => return None,
    })
}

impl TunnelRequest {
    /// A `GET` of this path, already encoded (`docs/protocol/sysclient.md` 8.7).
    pub fn get(path: &str) -> Self {
        let bytes = Bytes::from(format!("GET {path} HTTP/1.1\r\nHost: device\r\n\r\n"));
        Self { bytes, expects: Expects::Answer }
    }
}

#[cfg(test)]
mod tests;
