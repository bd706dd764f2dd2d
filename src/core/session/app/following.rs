//! What a connection has subscribed to: devices, domains, the number of unassigned devices
//! (`docs/protocol/devices-api.md` 4.6).
//!
//! One subscription of each kind at most. Every reading that they need goes through here, one at a time for each kind.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::event::{Answer, Ask, DataChange, Topics};
use super::subscription::{MERGE, Reading, Subscription};
use crate::core::model::device_view::DomainView;
use crate::core::model::ids::DomainId;
use crate::core::model::time::Tick;
use crate::core::protocol::appws::{answers, objects};

/// A subscription to something small, of which everything is read again whenever it may have changed.
#[derive(Debug)]
struct Small<T> {
    src: Option<Box<str>>,
    told: T,
}

/// Whether something is to be read again.
#[derive(Debug, Default)]
struct Due {
    wanted: bool,
    reading: bool,
    not_before: Tick,
}

impl Due {
    fn deadline(&self) -> Option<Tick> {
        (self.wanted && !self.reading).then_some(self.not_before)
    }

    fn begin(&mut self, now: Tick) -> bool {
        let begins = self.deadline().is_some_and(|at| at <= now);
        if begins {
            *self = Self { wanted: false, reading: true, not_before: now + MERGE };
        }
        begins
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Devices,
    Domains,
    Count,
}

/// The subscriptions of a connection.
#[derive(Debug, Default)]
pub(super) struct Following {
    pub(super) devices: Option<Subscription>,
    domains: Option<Small<BTreeMap<DomainId, String>>>,
    domains_due: Due,
    count: Option<Small<u64>>,
    count_due: Due,
    /// Hash of the domains as the devices were last read with them; their categories go into the devices.
    picture: Option<u64>,
    /// Questions under way, and the round of subscriptions to devices that they belong to.
    asked: HashMap<u64, (Kind, u64)>,
    rounds: u64,
}

/// The JSON texts of domains by their numbers.
pub(super) fn domain_texts(views: &[DomainView]) -> BTreeMap<DomainId, String> {
    views.iter().map(|view| (view.id, objects::domain(view))).collect()
}

impl Following {
    /// What the connection has to have news of.
    pub(super) fn topics(&self) -> Topics {
        let devices = self.devices.as_ref().filter(|devices| devices.is_on());
        let (unassigned_devices, members): (Vec<_>, Vec<_>) =
            devices.map(|d| Arc::clone(d.selection())).into_iter().partition(|selection| selection.unassigned);
        Topics {
            unassigned_devices: !unassigned_devices.is_empty() || self.count.is_some(),
            domains: !members.is_empty() || self.domains.is_some(),
            devices: members.into_iter().next(),
        }
    }

    /// A new filter takes the place of the old one.
    pub(super) fn follow_devices(&mut self, subscription: Option<Subscription>) {
        self.devices = subscription;
        self.rounds += 1;
        self.picture = None;
    }

    /// The result with these domains has gone out. They are read once more, since they may have changed meanwhile.
    pub(super) fn follow_domains(&mut self, told: Option<BTreeMap<DomainId, String>>, src: Option<Box<str>>) {
        self.domains_due.wanted |= told.is_some();
        self.domains = told.map(|told| Small { src, told });
    }

    /// The result with this number has gone out. It is read once more.
    pub(super) fn follow_count(&mut self, told: Option<u64>, src: Option<Box<str>>) {
        self.count_due.wanted |= told.is_some();
        self.count = told.map(|told| Small { src, told });
    }

    pub(super) fn on_news(&mut self, news: DataChange) {
        let of_unassigned = |devices: &&mut Subscription| devices.selection().unassigned;
        match news {
            DataChange::Devices(keys) => {
                if let Some(devices) = &mut self.devices {
                    devices.changed(keys.iter().cloned());
                }
            }
            DataChange::ListUnassigned => {
                self.count_due.wanted |= self.count.is_some();
                if let Some(devices) = self.devices.as_mut().filter(of_unassigned) {
                    devices.all_changed();
                }
            }
            DataChange::Domains => self.domains_due.wanted = true,
            DataChange::Anything => {
                self.domains_due.wanted = true;
                self.count_due.wanted |= self.count.is_some();
                if let Some(devices) = &mut self.devices {
                    devices.all_changed();
                }
            }
        }
    }

    /// When [`Following::next`] has something to ask.
    pub(super) fn deadline(&self) -> Option<Tick> {
        let devices = self.devices.as_ref().and_then(Subscription::deadline);
        [devices, self.domains_due.deadline(), self.count_due.deadline()].into_iter().flatten().min()
    }

    /// Whether more waits than may (`docs/protocol/devices-api.md` 4.6).
    pub(super) fn is_overfull(&self) -> bool {
        self.devices.as_ref().is_some_and(Subscription::is_overfull)
    }

    /// What is to be asked now; the question gets this number.
    pub(super) fn next(&mut self, number: u64, now: Tick) -> Option<Ask> {
        let (kind, ask) = if self.domains_due.begin(now) {
            (Kind::Domains, Ask::Domains)
        } else if self.count_due.begin(now) {
            (Kind::Count, Ask::Unassigned)
        } else {
            let ask = match self.devices.as_mut()?.next(now)? {
                Reading::Look(keys) => Ask::Look(keys),
                Reading::Walk(selection) => Ask::List(selection),
                Reading::More(walk) => Ask::More(walk),
            };
            (Kind::Devices, ask)
        };
        self.asked.insert(number, (kind, self.rounds));
        Some(ask)
    }

    /// Takes the answer to a question of this part: what is to be sent, and whether the topics have to be told anew. If the
    /// question was not its own, the answer comes back.
    pub(super) fn on_answer(&mut self, number: u64, answer: Answer, now: Tick) -> Result<(Vec<String>, bool), Answer> {
        let Some((kind, round)) = self.asked.remove(&number) else { return Err(answer) };
        match kind {
            Kind::Domains => {
                self.domains_due.reading = false;
                match answer {
                    Answer::Domains(views) => return Ok(self.on_domains(&views)),
                    _ => self.domains_due.wanted = true,
                }
            }
            Kind::Count => {
                self.count_due.reading = false;
                match (answer, &mut self.count) {
                    (Answer::Unassigned(count), Some(small)) if small.told != count => {
                        small.told = count;
                        return Ok((vec![answers::count_notice(small.src.as_deref(), count)], false));
                    }
                    (Answer::Unassigned(_), _) | (_, None) => {}
                    _ => self.count_due.wanted = true,
                }
            }
            // An answer for a filter that has been replaced is of no use.
            Kind::Devices if round != self.rounds => {}
            Kind::Devices => {
                if let Some(devices) = &mut self.devices {
                    match answer {
                        Answer::Looked(found) => return Ok((devices.looked(found), false)),
                        Answer::Page { devices: views, rest } => return Ok((devices.walked(&views, rest), false)),
                        _ => devices.failed(now),
                    }
                }
            }
        }
        Ok((Vec::new(), false))
    }

    fn on_domains(&mut self, views: &[DomainView]) -> (Vec<String>, bool) {
        let texts = domain_texts(views);
        let mut hasher = DefaultHasher::new();
        texts.hash(&mut hasher);
        let picture = Some(hasher.finish());
        let new_picture = self.picture != picture;
        self.picture = picture;
        if let Some(devices) = self.devices.as_mut().filter(|_| new_picture) {
            devices.all_changed();
        }
        let mut notices = Vec::new();
        if let Some(Small { src, told }) = &mut self.domains {
            let mut tell = |mt, text: &String| notices.push(answers::notice(mt, src.as_deref(), "domain", text));
            for (id, text) in &texts {
                match told.get(id) {
                    None => tell("DomainAdded", text),
                    Some(before) if before != text => tell("DomainUpdate", text),
                    Some(_) => {}
                }
            }
            for (_, text) in told.iter().filter(|(id, _)| !texts.contains_key(id)) {
                tell("DomainRemoved", text);
            }
            *told = texts;
        }
        (notices, new_picture)
    }
}
