//! All tunnel sessions of one device connection: their numbers, and which message belongs to which
//! (`docs/protocol/sysclient.md` 7.3).

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;

use super::event::{Action, Output, TunnelId, TunnelRefused, TunnelRequest};
use crate::core::model::time::Tick;
use crate::core::protocol::sysclient::frame::{DeviceEvent, FromServer, ServerEvent};
use crate::core::protocol::sysclient::tunnel::{self, Exchange, Expects, Limits};

/// Greatest session number; a known client keeps them in a signed number (`docs/protocol/sysclient.md` 7.3).
const LAST_NUMBER: u32 = 0x7fff_ffff;

/// Bytes of requests that may be on the way to the device, over all sessions; a single longer send goes alone. Otherwise many
/// uploads at once would fill the window of a device on a slow line, and it would be cut as one that does not read.
const ON_THE_WAY: usize = 48 * 1024;

/// The tunnel sessions of a connection. Small while there are none.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    /// The number that was given last.
    last: u32,
    open: Option<Box<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    sessions: HashMap<u32, Entry>,
    /// Numbers whose shutdown was never confirmed.
    retired: HashSet<u32>,
    /// Bytes of sends that the device has not yet confirmed, over all sessions.
    on_the_way: usize,
    /// Sessions whose send waits, in this order.
    queue: VecDeque<u32>,
}

#[derive(Debug)]
struct Entry {
    id: TunnelId,
    exchange: Exchange,
    /// Bytes of its send that the device has not yet confirmed.
    on_the_way: usize,
    /// Its send that has to wait.
    waiting: Option<Bytes>,
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
        if !id.is_own() && open.sessions.values().filter(|entry| !entry.id.is_own()).count() >= most {
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
        let TunnelRequest { bytes, expects } = request;
        let (exchange, first) = Exchange::open(number, bytes, expects, Limits::default(), now);
        open.sessions.insert(number, Entry { id, exchange, on_the_way: 0, waiting: None });
        self.perform(number, first, now, actions);
        Ok(())
    }

    /// A message of the device. False if it belongs to no open session.
    pub(super) fn device(&mut self, number: u32, event: DeviceEvent, now: Tick, actions: &mut Vec<Action>) -> bool {
        let Some(open) = &mut self.open else { return false };
        let Some(entry) = open.sessions.get_mut(&number) else { return false };
        if event == DeviceEvent::SendResult {
            if entry.waiting.is_some() {
                // It confirms what has not been sent.
                return true;
            }
            open.on_the_way -= std::mem::take(&mut entry.on_the_way);
        }
        let done = entry.exchange.device(event, now);
        self.perform(number, done, now, actions);
        true
    }

    /// The taker of an answer has all bytes that it was given.
    pub(super) fn taken(&mut self, id: TunnelId, now: Tick, actions: &mut Vec<Action>) {
        self.with(id, |exchange| exchange.taken(now), now, actions);
    }

    /// The taker of an answer that is a pipe has bytes for the device.
    pub(super) fn client(&mut self, id: TunnelId, bytes: Bytes, now: Tick, actions: &mut Vec<Action>) {
        self.with(id, |exchange| exchange.client(bytes, now), now, actions);
    }

    /// The taker of an answer has gone away.
    pub(super) fn abandon(&mut self, id: TunnelId, now: Tick, actions: &mut Vec<Action>) {
        self.with(id, |exchange| exchange.abandon(now), now, actions);
    }

    /// The connection has ended.
    pub(super) fn lost(&mut self, actions: &mut Vec<Action>) {
        for (_, mut entry) in self.open.take().map(|open| open.sessions).unwrap_or_default() {
            let done = entry.exchange.lost();
            actions.extend(done.into_iter().filter_map(output).map(|output| Action::Tunnel(entry.id, output)));
        }
    }

    /// Whether an answer is under way. Pipes are not: they have no end of their own.
    pub(super) fn is_busy(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.sessions.values().any(|entry| entry.exchange.is_under_way()))
    }

    /// When the first timer runs out.
    pub(super) fn deadline(&self) -> Option<Tick> {
        self.open.as_ref()?.sessions.values().filter_map(|entry| entry.exchange.deadline()).min()
    }

    /// Time has passed.
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
        act: impl FnOnce(&mut Exchange) -> Vec<tunnel::Action>,
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
                    entry.exchange.waits();
                    open.queue.push_back(number);
                }
                tunnel::Action::Send(event) => {
                    if event == ServerEvent::Shutdown {
                        // What has not been sent never will be.
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
            // Hours may pass before the next one.
            self.open = None;
        }
    }
}

impl Open {
    fn forget(&mut self, number: u32) {
        if let Some(entry) = self.sessions.remove(&number) {
            self.on_the_way -= entry.on_the_way;
        }
    }

    /// Sends what waits, as far as it may be on the way.
    fn send_waiting(&mut self, now: Tick, actions: &mut Vec<Action>) {
        while let Some(&number) = self.queue.front() {
            if let Some(entry) = self.sessions.get_mut(&number)
                && let Some(bytes) = entry.waiting.take()
            {
                if self.on_the_way > 0 && self.on_the_way + bytes.len() > ON_THE_WAY {
                    entry.waiting = Some(bytes);
                    return;
                }
                entry.on_the_way = bytes.len();
                self.on_the_way += bytes.len();
                entry.exchange.left(now);
                let event = ServerEvent::Send(bytes);
                actions.push(Action::Send(FromServer::Tunnel { session: number, event }.encode()));
            }
            self.queue.pop_front();
        }
    }
}

/// What the taker of the answer learns.
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
