//! The notices about devices that a client has subscribed to (`docs/protocol/devices-api.md` 4.3 to 4.6).
//!
//! A signal only says which devices to look at again. What is sent follows from what is read then and from what the client knows
//! already, so doubled, late or lost signals do no harm. Changes are gathered for a second. When signals may have been lost, or
//! the domains themselves have changed, everything is read again and only the differences go out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::known::{DeviceChange, Known};
use super::walk::Walk;
use crate::core::model::device_view::DeviceView;
use crate::core::model::ids::DeviceKey;
use crate::core::model::time::Tick;
use crate::core::protocol::appws::answers::notice;
use crate::core::protocol::appws::objects::DeviceObject;
use crate::core::protocol::appws::select::Selection;

/// Changes of one device within this time are merged into the last one.
pub const MERGE: Duration = Duration::from_secs(1);

/// Devices looked at again at once.
pub const AT_ONCE: usize = 256;

/// What may wait for a client that does not take it (`docs/protocol/devices-api.md` 4.6), in bytes that it holds here.
pub const MAX_WAITING: usize = 4 * 1024 * 1024;

/// What a waiting change holds beside the text of its key: its place in a set of pointers.
const PER_CHANGE: usize = 40;

#[derive(Debug, PartialEq, Eq)]
enum Doing {
    /// The result of the subscribing request is on its way; nothing goes before it.
    Listing,
    Nothing,
    /// These devices are being read again.
    Looking(Vec<DeviceKey>),
    /// Everything is being read again; the rest of it, while none is under way.
    Walking(Option<Box<Walk>>),
}

/// What is to be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// These devices.
    Look(Vec<DeviceKey>),
    /// All selected devices from the beginning.
    Walk(Arc<Selection>),
    /// The next page.
    More(Box<Walk>),
}

/// A filter, what the client knows of it, and whether it wants notices.
#[derive(Debug)]
pub struct Subscription {
    src: Option<Box<str>>,
    selection: Arc<Selection>,
    on: bool,
    known: Known,
    changed: HashSet<DeviceKey>,
    /// Of `changed`, in bytes.
    waiting: usize,
    /// The changes of the present second that have not been looked at.
    queue: Vec<DeviceKey>,
    all_again: bool,
    doing: Doing,
    not_before: Tick,
}

impl Subscription {
    /// For a request whose result is about to be sent; see [`Subscription::listed`].
    pub fn new(selection: Arc<Selection>, on: bool, src: Option<Box<str>>) -> Self {
        Self {
            src,
            selection,
            on,
            known: Known::default(),
            changed: HashSet::new(),
            waiting: 0,
            queue: Vec::new(),
            all_again: false,
            doing: Doing::Listing,
            not_before: Tick(0),
        }
    }

    /// A filter of which the client knows nothing yet and wants no notices.
    pub fn idle(selection: Arc<Selection>) -> Self {
        Self { doing: Doing::Nothing, ..Self::new(selection, false, None) }
    }

    /// The filter.
    pub const fn selection(&self) -> &Arc<Selection> {
        &self.selection
    }

    /// Whether notices are wanted.
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// A device has gone out with the result.
    pub fn listed(&mut self, view: &DeviceView, text: &str) {
        self.known.tell(view, text);
    }

    /// The result has gone out whole.
    pub fn go_live(&mut self) {
        self.doing = Doing::Nothing;
    }

    /// Switches the notices on or off. What was missed in between is made up for.
    pub fn switch(&mut self, on: bool, src: Option<Box<str>>) {
        if on {
            self.src = src;
            self.all_again = true;
        } else {
            (self.changed, self.waiting, self.queue) = (HashSet::new(), 0, Vec::new());
            if matches!(self.doing, Doing::Walking(Some(_))) {
                self.doing = Doing::Nothing;
            }
        }
        self.on = on;
    }

    /// These devices have changed, come or gone.
    pub fn changed(&mut self, keys: impl IntoIterator<Item = DeviceKey>) {
        if self.on && !self.selection.unassigned {
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

    /// Whether more waits than may.
    pub const fn is_overfull(&self) -> bool {
        self.waiting > MAX_WAITING
    }

    /// When [`Subscription::next`] has something to say, if nothing else happens before.
    pub fn deadline(&self) -> Option<Tick> {
        let something = self.all_again || !self.changed.is_empty() || !self.queue.is_empty();
        (self.on && self.doing == Doing::Nothing && something).then_some(self.not_before)
    }

    /// What is to be read now. It has to be answered by [`Subscription::looked`], [`Subscription::walked`] or
    /// [`Subscription::failed`] before there is more to read.
    pub fn next(&mut self, now: Tick) -> Option<Reading> {
        match &mut self.doing {
            Doing::Walking(rest) => return rest.take().map(Reading::More),
            Doing::Nothing if self.on => {}
            Doing::Nothing | Doing::Looking(_) | Doing::Listing => return None,
        }
        if self.queue.is_empty() {
            if now < self.not_before {
                return None;
            }
            if self.all_again {
                self.all_again = false;
                self.not_before = now + MERGE;
                self.known.begin_round();
                self.doing = Doing::Walking(None);
                return Some(Reading::Walk(Arc::clone(&self.selection)));
            }
            if self.changed.is_empty() {
                return None;
            }
            self.not_before = now + MERGE;
            self.waiting = 0;
            self.queue = std::mem::take(&mut self.changed).into_iter().collect();
        }
        let keys = self.queue.split_off(self.queue.len().saturating_sub(AT_ONCE));
        self.doing = Doing::Looking(keys.clone());
        Some(Reading::Look(keys))
    }

    /// Each of the devices as it is now, if it is within the rights. Returns the notices.
    pub fn looked(&mut self, found: Vec<(DeviceKey, Option<DeviceView>)>) -> Vec<String> {
        self.doing = Doing::Nothing;
        let mut notices = Vec::new();
        if !self.on {
            // Switched off meanwhile: the client hears of it when it switches on again.
            return notices;
        }
        for (key, view) in found {
            match view.filter(|view| self.selection.takes(view)) {
                Some(view) => notices.extend(self.tell(&view)),
                None => notices.extend(self.forget(&key)),
            }
        }
        notices
    }

    /// A page of everything, and the rest if there is more. Returns the notices.
    pub fn walked(&mut self, views: &[DeviceView], rest: Option<Box<Walk>>) -> Vec<String> {
        if !self.on {
            self.doing = Doing::Nothing;
            return Vec::new();
        }
        let mut notices: Vec<_> = views.iter().filter_map(|view| self.tell(view)).collect();
        if rest.is_some() {
            self.doing = Doing::Walking(rest);
            return notices;
        }
        self.doing = Doing::Nothing;
        let left: Vec<_> = self.known.left_over().cloned().collect();
        if self.selection.unassigned {
            notices.extend(left.iter().filter_map(|key| self.forget(key)));
        } else {
            // Not met, but it may have changed its place on the way: look at it by itself before it is said to be gone.
            self.changed(left);
        }
        notices
    }

    /// It could not be read: once more, a little later.
    pub fn failed(&mut self, now: Tick) {
        self.not_before = now + MERGE;
        match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Looking(keys) => self.changed(keys),
            Doing::Walking(_) => self.all_changed(),
            Doing::Listing | Doing::Nothing => {}
        }
        let queue = std::mem::take(&mut self.queue);
        self.changed(queue);
    }

    fn tell(&mut self, view: &DeviceView) -> Option<String> {
        let text = DeviceObject::new(view).with_interfaces().text();
        let mt = match self.known.tell(view, &text) {
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
