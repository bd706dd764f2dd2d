//! Keeps the answers of a connection in the order of the requests (`docs/protocol/appwebsocket.md` section 2).
//!
//! Only `HttpGet` may be overtaken, by anything but another `HttpGet` with the same `src`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::device_pager::DevicePager;
use super::subscriptions::{KnownConfigs, SentDomains};
use crate::core::model::ids::{Code, DomainId, DomainName};
use crate::core::protocol::appws::list::Part;
use crate::core::protocol::appws::message::Request;
use crate::core::protocol::appws::search::Search;
use crate::core::protocol::appws::select::Selection;

/// A request and its answer.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: u64,
    pub(super) request: Request,
    pub(super) work: Work,
}

/// Progress of an answer.
#[derive(Debug)]
pub(super) enum Work {
    /// The service was asked.
    Asked,
    /// A search: asked for when it is at the head, so that a connection has one at a time.
    Search(Box<Search>),
    /// A list of devices: asked for page by page, when it is at the head.
    List(Box<List>),
    /// Texts that still have to be sent, and what follows then.
    Ready(VecDeque<String>, Then),
}

/// A list of devices that is being sent.
#[derive(Debug)]
pub(super) struct List {
    pub(super) selection: Arc<Selection>,
    /// Set for `GetDevices`: whether it subscribes; `None`: a list of the app interface.
    pub(super) subscribe: Option<bool>,
    pub(super) part: Part,
    /// Parts that are complete.
    pub(super) full: VecDeque<String>,
    pub(super) step: Step,
}

/// Progress of a list.
#[derive(Debug)]
pub(super) enum Step {
    Begin,
    /// A page was asked for.
    Reading,
    Rest(Box<DevicePager>),
}

/// What follows when an answer was sent.
#[derive(Debug)]
pub(super) enum Then {
    Nothing,
    /// Wait for the notice of a code. Only now, so that the notice cannot overtake the result that contains the code.
    Await(DomainName, Code),
    /// The notices of the listed devices begin.
    Listed,
    /// Switch the notices about devices.
    SwitchDevices(bool),
    /// These domains were sent; the notices about them begin or end.
    Domains(SentDomains),
    /// These device configurations were sent; the notices about them begin or end.
    Configs(DomainId, KnownConfigs),
    /// This number of unassigned devices was sent; the notices about it begin or end.
    Count(u64),
}

impl Work {
    /// A single text, with nothing to follow.
    pub(super) fn text(text: String) -> Self {
        Self::Ready(VecDeque::from([text]), Then::Nothing)
    }
}

/// All answers of a connection that were not sent yet.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Answers that keep the order of the requests.
    pub(super) line: VecDeque<Slot>,
    /// Answers to `HttpGet`.
    pub(super) aside: VecDeque<Slot>,
}

/// Most answers that may wait while the client does not read.
const MOST: usize = 512;

impl Slots {
    /// Whether more answers wait than allowed.
    pub(super) fn are_too_many(&self) -> bool {
        self.line.len() + self.aside.len() > MOST
    }

    pub(super) fn find(&mut self, number: u64) -> Option<&mut Slot> {
        self.line.iter_mut().chain(&mut self.aside).find(|slot| slot.number == number)
    }

    /// Number of `HttpGet` under way.
    pub(super) fn fetches(&self) -> usize {
        self.aside.iter().filter(|slot| matches!(slot.work, Work::Asked)).count()
    }

    /// Removes an `HttpGet` that may be sent: none with the same `src` is before it.
    pub(super) fn take_aside(&mut self) -> Option<Slot> {
        let free = |at: usize, slot: &Slot| {
            matches!(slot.work, Work::Ready(..))
                && !self.aside.iter().take(at).any(|before| before.request.src == slot.request.src)
        };
        let at = self.aside.iter().enumerate().position(|(at, slot)| free(at, slot))?;
        self.aside.remove(at)
    }
}
