//! The device notices that a client has subscribed to (`docs/protocol/devices-api.md` 4.3 to 4.6).
//!
//! A signal only names the devices to read again. The notice is the difference between what is read then and what was
//! sent before, so doubled, late or lost signals do no harm. Changes are merged for a second. When signals may have
//! been lost, or the domains themselves have changed, everything is read again and only the differences are sent.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::device_pager::DevicePager;
use super::known::{DeviceChange, Known};
use crate::core::model::device_view::DeviceView;
use crate::core::model::ids::DeviceKey;
use crate::core::model::time::Tick;
use crate::core::protocol::appws::answers::notice;
use crate::core::protocol::appws::objects::DeviceObject;
use crate::core::protocol::appws::select::Selection;

/// Changes of a device within this time become one notice.
pub const MERGE: Duration = Duration::from_secs(1);

/// Most devices read again at a time.
pub const MAX_KEYS_PER_READ: usize = 256;

/// Most bytes that may wait here for a client that does not read (`docs/protocol/devices-api.md` 4.6).
pub const MAX_WAITING: usize = 4 * 1024 * 1024;

/// Bytes of a waiting change besides the text of its key: its entry in a set of pointers.
const PER_CHANGE: usize = 40;

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// The result of the subscribing request is being sent; no notice may precede it.
    Listing,
    Idle,
    /// These devices are being read again.
    ReadingSome(Vec<DeviceKey>),
    /// Everything is being read again, or all devices without a domain (`unassigned`); holds the next page while none
    /// is being read.
    ReadingAll {
        unassigned: bool,
        rest: Option<Box<DevicePager>>,
    },
}

/// What has to be read.
#[derive(Debug, PartialEq, Eq)]
pub enum NextRead {
    /// The present state of these devices, as far as the selection takes them.
    Devices(Vec<DeviceKey>, Arc<Selection>),
    /// All selected devices from the beginning.
    All(Arc<Selection>),
    /// The next page.
    NextPage(Box<DevicePager>),
}

/// A filter, the devices that the client knows of it, and whether it wants notices.
#[derive(Debug)]
pub struct Subscription {
    src: Option<Box<str>>,
    selection: Arc<Selection>,
    on: bool,
    known: Known,
    changed: HashSet<DeviceKey>,
    /// Size of `changed`, in bytes.
    waiting: usize,
    /// Merged changes that are due to be read.
    queue: Vec<DeviceKey>,
    all_again: bool,
    unassigned_again: bool,
    state: State,
    not_before: Tick,
    /// The same for devices without a domain, so that neither keeps the other from its turn.
    unassigned_not_before: Tick,
}

impl Subscription {
    /// For a request whose result is about to be sent; see [`Subscription::listed`].
    pub fn new(selection: Arc<Selection>, src: Option<Box<str>>) -> Self {
        Self {
            src,
            selection,
            on: true,
            known: Known::default(),
            changed: HashSet::new(),
            waiting: 0,
            queue: Vec::new(),
            all_again: false,
            unassigned_again: false,
            state: State::Listing,
            not_before: Tick(0),
            unassigned_not_before: Tick(0),
        }
    }

    /// The filter.
    pub const fn selection(&self) -> &Arc<Selection> {
        &self.selection
    }

    /// Whether notices are wanted.
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// Records a device that was sent with the result.
    pub fn listed(&mut self, view: &DeviceView, text: &str) {
        self.known.record_sent(view, text);
    }

    /// The whole result was sent; notices may follow.
    pub fn go_live(&mut self) {
        self.state = State::Idle;
    }

    /// Switches the notices on or off. Changes missed in between are sent when they are switched on.
    pub fn switch(&mut self, on: bool) {
        if on {
            self.all_again = true;
        } else {
            (self.changed, self.waiting, self.queue) = (HashSet::new(), 0, Vec::new());
            (self.all_again, self.unassigned_again) = (false, false);
            if matches!(self.state, State::ReadingAll { rest: Some(_), .. }) {
                self.state = State::Idle;
            }
        }
        self.on = on;
    }

    /// These devices were changed, added or removed.
    pub fn changed(&mut self, keys: impl IntoIterator<Item = DeviceKey>) {
        if self.on {
            for key in keys {
                let cost = key.as_str().len() + PER_CHANGE;
                if self.changed.insert(key) {
                    self.waiting += cost;
                }
            }
        }
    }

    /// Anything may have changed.
    pub fn all_changed(&mut self) {
        self.all_again |= self.on;
    }

    /// The devices without a domain may have changed.
    pub fn unassigned_changed(&mut self) {
        self.unassigned_again |= self.on && self.selection.unassigned;
    }

    /// Whether more data waits than allowed.
    pub const fn is_overfull(&self) -> bool {
        self.waiting > MAX_WAITING
    }

    /// When [`Subscription::next`] has to be called, if nothing else happens before.
    pub fn deadline(&self) -> Option<Tick> {
        let something = self.all_again || !self.changed.is_empty() || !self.queue.is_empty();
        let dues = [something.then_some(self.not_before), self.unassigned_again.then_some(self.unassigned_not_before)];
        dues.into_iter().flatten().min().filter(|_| self.on && self.state == State::Idle)
    }

    /// The next read. It has to be answered by [`Subscription::looked`], [`Subscription::walked`] or
    /// [`Subscription::failed`] before the next one.
    pub fn next(&mut self, now: Tick) -> Option<NextRead> {
        match &mut self.state {
            State::ReadingAll { rest, .. } => return rest.take().map(NextRead::NextPage),
            State::Idle if self.on => {}
            State::Idle | State::ReadingSome(_) | State::Listing => return None,
        }
        if self.queue.is_empty() && now >= self.not_before {
            if self.all_again {
                (self.all_again, self.unassigned_again) = (false, false);
                self.not_before = now + MERGE;
                return Some(self.read_all(false));
            }
            if !self.changed.is_empty() {
                self.not_before = now + MERGE;
                self.waiting = 0;
                self.queue = std::mem::take(&mut self.changed).into_iter().collect();
            }
        }
        if self.queue.is_empty() {
            let due = self.unassigned_again && now >= self.unassigned_not_before;
            return due.then(|| {
                self.unassigned_again = false;
                self.unassigned_not_before = now + MERGE;
                self.read_all(true)
            });
        }
        let keys = self.queue.split_off(self.queue.len().saturating_sub(MAX_KEYS_PER_READ));
        self.state = State::ReadingSome(keys.clone());
        Some(NextRead::Devices(keys, Arc::clone(&self.selection)))
    }

    fn read_all(&mut self, unassigned: bool) -> NextRead {
        self.known.begin_full_read();
        self.state = State::ReadingAll { unassigned, rest: None };
        let all = Arc::clone(&self.selection);
        NextRead::All(if unassigned { Arc::new(all.of_unassigned()) } else { all })
    }

    /// Handles the devices that were read; without a view if they do not exist, are outside the rights or not selected.
    /// Returns the notices.
    pub fn looked(&mut self, found: Vec<(DeviceKey, Option<DeviceView>)>) -> Vec<String> {
        self.state = State::Idle;
        let mut notices = Vec::new();
        if !self.on {
            // Switched off meanwhile: the client gets the changes when it switches on again.
            return notices;
        }
        for (key, view) in found {
            match view {
                Some(view) => notices.extend(self.record_sent(&view)),
                None => notices.extend(self.forget(&key)),
            }
        }
        notices
    }

    /// Handles a page of the full read, and its continuation if there is more. Returns the notices.
    pub fn walked(&mut self, views: &[DeviceView], rest: Option<Box<DevicePager>>) -> Vec<String> {
        if !self.on {
            self.state = State::Idle;
            return Vec::new();
        }
        let notices: Vec<_> = views.iter().filter_map(|view| self.record_sent(view)).collect();
        let unassigned = matches!(self.state, State::ReadingAll { unassigned: true, .. });
        if rest.is_some() {
            self.state = State::ReadingAll { unassigned, rest };
            return notices;
        }
        self.state = State::Idle;
        // Not met, but it may have moved during the read: read it separately before reporting its removal.
        let left: Vec<_> = self.known.not_met(unassigned).cloned().collect();
        self.changed(left);
        notices
    }

    /// The read has failed: it is repeated a little later.
    pub fn failed(&mut self, now: Tick) {
        self.not_before = now + MERGE;
        match std::mem::replace(&mut self.state, State::Idle) {
            State::ReadingSome(keys) => self.changed(keys),
            State::ReadingAll { unassigned: false, .. } => self.all_changed(),
            State::ReadingAll { unassigned: true, .. } => {
                self.unassigned_changed();
                self.unassigned_not_before = now + MERGE;
            }
            State::Listing | State::Idle => {}
        }
        let queue = std::mem::take(&mut self.queue);
        self.changed(queue);
    }

    fn record_sent(&mut self, view: &DeviceView) -> Option<String> {
        let text = DeviceObject::new(view).text();
        let mt = match self.known.record_sent(view, &text) {
            DeviceChange::Added => "DeviceAdded",
            DeviceChange::Changed => "DeviceUpdate",
            DeviceChange::Same => return None,
        };
        Some(notice(mt, self.src.as_deref(), "device", &text))
    }

    fn forget(&mut self, key: &DeviceKey) -> Option<String> {
        let text = self.known.forget(key)?;
        Some(notice("DeviceRemoved", self.src.as_deref(), "device", &text))
    }
}
