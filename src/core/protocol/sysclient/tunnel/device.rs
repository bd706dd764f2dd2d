//! The device's side of the tunnel (`docs/protocol/sysclient.md` 7.2, "Rules for a device"), for simulated devices.
//!
//! Forwards bytes between the connection and the local web server; it does not parse HTTP.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::DEVICE_PIECE_MAX;
use crate::core::protocol::sysclient::frame::{DeviceEvent, ServerEvent};

/// Most concurrent sessions; a send that would open one more is dropped.
const SESSIONS_MAX: usize = 256;

/// What the caller has to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceAction {
    /// Connect a new session to the local web server.
    Open(u32),
    /// Forward bytes of the request to the local web server, before the actions that follow.
    Deliver(u32, Bytes),
    /// Send an event of this session to the server.
    Send(u32, DeviceEvent),
    /// The session is over: drop its state.
    Close(u32),
}

#[derive(Debug, Default)]
struct Session {
    /// Bytes of the local web server that the server has not asked for yet.
    answer: VecDeque<Bytes>,
    buffered: usize,
    /// Most bytes that the open receive asks for.
    wanted: Option<usize>,
    local_closed: bool,
    /// The shutdown was sent and is not confirmed yet.
    closing: bool,
}

/// All tunnel sessions of one connection of a device.
#[derive(Debug, Default)]
pub struct DeviceTunnel {
    sessions: BTreeMap<u32, Session>,
}

impl DeviceTunnel {
    /// No session yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The server sent an event.
    pub fn server(&mut self, session: u32, event: ServerEvent) -> Vec<DeviceAction> {
        match event {
            ServerEvent::Send(bytes) => self.request(session, bytes),
            ServerEvent::Receive(wanted) => {
                let Some(open) = self.open(session) else { return Vec::new() };
                open.wanted = Some(match usize::try_from(wanted) {
                    Ok(0) | Err(_) => DEVICE_PIECE_MAX,
                    Ok(wanted) => wanted.min(DEVICE_PIECE_MAX),
                });
                self.answer(session)
            }
            ServerEvent::Shutdown => {
                let confirm = DeviceAction::Send(session, DeviceEvent::Shutdown);
                match self.sessions.remove(&session) {
                    // It confirms ours, or crosses it; a third shutdown is not sent.
                    Some(Session { closing: true, .. }) => Vec::new(),
                    Some(_) => vec![confirm, DeviceAction::Close(session)],
                    None => vec![confirm],
                }
            }
        }
    }

    /// The local web server sent bytes of the answer.
    pub fn local_bytes(&mut self, session: u32, bytes: Bytes) -> Vec<DeviceAction> {
        let Some(open) = self.open(session).filter(|s| !s.local_closed && !bytes.is_empty()) else { return Vec::new() };
        open.buffered += bytes.len();
        open.answer.push_back(bytes);
        self.answer(session)
    }

    /// The local web server has closed; what it sent before is still sent.
    pub fn local_closed(&mut self, session: u32) -> Vec<DeviceAction> {
        let Some(open) = self.open(session) else { return Vec::new() };
        open.local_closed = true;
        self.answer(session)
    }

    /// Bytes of the answer that wait for the server, so that the caller can stop reading.
    pub fn buffered(&self, session: u32) -> usize {
        self.sessions.get(&session).map_or(0, |s| s.buffered)
    }

    fn open(&mut self, session: u32) -> Option<&mut Session> {
        self.sessions.get_mut(&session).filter(|s| !s.closing)
    }

    fn request(&mut self, session: u32, bytes: Bytes) -> Vec<DeviceAction> {
        let mut actions = Vec::with_capacity(3);
        if self.open(session).is_none() {
            // The number of a session whose shutdown was never confirmed may be reused for a new session.
            self.sessions.remove(&session);
            if self.sessions.len() >= SESSIONS_MAX {
                return actions;
            }
            self.sessions.insert(session, Session::default());
            actions.push(DeviceAction::Open(session));
        }
        actions.push(DeviceAction::Deliver(session, bytes));
        actions.push(DeviceAction::Send(session, DeviceEvent::SendResult));
        actions
    }

    /// Answers an open receive, if there are bytes or the end.
    fn answer(&mut self, session: u32) -> Vec<DeviceAction> {
        let Some(open) = self.open(session) else { return Vec::new() };
        let Some(wanted) = open.wanted else { return Vec::new() };
        if let Some(first) = open.answer.front_mut() {
            let piece = first.split_to(first.len().min(wanted));
            if first.is_empty() {
                open.answer.pop_front();
            }
            open.buffered -= piece.len();
            open.wanted = None;
            return vec![DeviceAction::Send(session, DeviceEvent::ReceiveResult(piece))];
        }
        if !open.local_closed {
            return Vec::new();
        }
        open.closing = true;
        vec![DeviceAction::Send(session, DeviceEvent::Shutdown), DeviceAction::Close(session)]
    }
}
