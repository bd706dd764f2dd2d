//! The places of the answers on a connection: they leave in the order of the requests
//! (`docs/protocol/appwebsocket.md` section 2).
//!
//! Only `HttpGet` may be overtaken, by anything but another `HttpGet` with the same `src`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::walk::Walk;
use crate::core::model::ids::{Code, DomainId, DomainName};
use crate::core::protocol::appws::list::Part;
use crate::core::protocol::appws::message::Request;
use crate::core::protocol::appws::select::Selection;

/// The place of an answer.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: u64,
    pub(super) request: Request,
    pub(super) work: Work,
}

/// How far the answer is.
#[derive(Debug)]
pub(super) enum Work {
    /// It has been asked for.
    Asked,
    /// A list of devices: asked for page by page, and only when it is its turn.
    List(Box<List>),
    /// The texts that are left to be sent, and what follows then.
    Ready(VecDeque<String>, Then),
}

/// A list of devices that is being given out.
#[derive(Debug)]
pub(super) struct List {
    pub(super) selection: Arc<Selection>,
    /// `GetDevices`, and whether it subscribes; `None`: a list of the app interface.
    pub(super) subscribe: Option<bool>,
    pub(super) part: Part,
    /// Parts that are complete.
    pub(super) full: VecDeque<String>,
    pub(super) step: Step,
}

/// How far a list is.
#[derive(Debug)]
pub(super) enum Step {
    Begin,
    /// A page has been asked for.
    Reading,
    Rest(Box<Walk>),
}

/// What follows when an answer has left.
#[derive(Debug)]
pub(super) enum Then {
    Nothing,
    /// The notice of a code is awaited. Only now, so that it cannot overtake the result that tells the code.
    Await(DomainName, Code),
    /// The notices of the list begin.
    Listed,
    /// The notices about devices are switched.
    SwitchDevices(bool),
    /// These domains have been told; the notices about them begin or end.
    Domains(BTreeMap<DomainId, String>),
    /// This number of unassigned devices has been told; the notices about it begin or end.
    Count(u64),
}

impl Work {
    /// One text, and nothing afterwards.
    pub(super) fn text(text: String) -> Self {
        Self::Ready(VecDeque::from([text]), Then::Nothing)
    }
}

/// All places of a connection.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Answers in the order of the requests.
    pub(super) line: VecDeque<Slot>,
    /// `HttpGet`.
    pub(super) aside: VecDeque<Slot>,
}

/// Answers that may wait for a client that has not yet taken what was sent before.
const MOST: usize = 512;

impl Slots {
    /// Whether more answers wait than may.
    pub(super) fn are_too_many(&self) -> bool {
        self.line.len() + self.aside.len() > MOST
    }

    pub(super) fn find(&mut self, number: u64) -> Option<&mut Slot> {
        self.line.iter_mut().chain(&mut self.aside).find(|slot| slot.number == number)
    }

    /// How many `HttpGet` are under way.
    pub(super) fn fetches(&self) -> usize {
        self.aside.iter().filter(|slot| matches!(slot.work, Work::Asked)).count()
    }

    /// Takes out an `HttpGet` whose answer may leave: none with the same `src` stands before it.
    pub(super) fn take_aside(&mut self) -> Option<Slot> {
        let free = |at: usize, slot: &Slot| {
            matches!(slot.work, Work::Ready(..))
                && !self.aside.iter().take(at).any(|before| before.request.src == slot.request.src)
        };
        let at = self.aside.iter().enumerate().position(|(at, slot)| free(at, slot))?;
        self.aside.remove(at)
    }
}
