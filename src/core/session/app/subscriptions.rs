//! The subscriptions of a connection: devices, domains, the number of unassigned devices
//! (`docs/protocol/devices-api.md` 4.6).
//!
//! At most one subscription of each kind. Every read that they need goes through here, one at a time for each kind.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::event::{Answer, Ask, DataChange, Topics};
use super::subscription::{MERGE, NextRead, Subscription};
use crate::core::model::device_view::DomainView;
use crate::core::model::ids::DomainId;
use crate::core::model::time::Tick;
use crate::core::protocol::appws::{answers, objects};

/// A subscription to a small value that is read again as a whole whenever it may have changed.
#[derive(Debug)]
struct Snapshot<T> {
    src: Option<Box<str>>,
    sent: T,
}

/// Whether a value has to be read again, at most once per [`MERGE`].
#[derive(Debug, Default)]
struct Refresh {
    wanted: bool,
    reading: bool,
    not_before: Tick,
}

impl Refresh {
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
pub(super) struct Subscriptions {
    pub(super) devices: Option<Subscription>,
    domains: Option<Snapshot<SentDomains>>,
    domains_refresh: Refresh,
    count: Option<Snapshot<u64>>,
    count_refresh: Refresh,
    /// Hash of the domains at the last read of the devices; a device contains its category, which is part of the
    /// domain.
    domains_hash: Option<u64>,
    /// Reads under way, with the generation of the device filter that they belong to.
    reads: HashMap<u64, (Kind, u64)>,
    generation: u64,
}

/// The domains by their number: the JSON text, and the state of what is not in it.
pub(super) type SentDomains = BTreeMap<DomainId, (String, u64)>;

/// The domains as they are sent.
pub(super) fn domain_texts(views: &[DomainView]) -> SentDomains {
    views.iter().map(|view| (view.id, (objects::domain(view), view.settings))).collect()
}

impl Subscriptions {
    /// What the connection has to be notified of.
    pub(super) fn topics(&self) -> Topics {
        let devices = self.devices.as_ref().filter(|devices| devices.is_on());
        let selection = devices.map(Subscription::selection);
        let members = selection.filter(|selection| selection.members);
        Topics {
            unassigned_devices: selection.is_some_and(|selection| selection.unassigned) || self.count.is_some(),
            domains: members.is_some() || self.domains.is_some(),
            devices: members.map(Arc::clone),
        }
    }

    /// Replaces the device filter.
    pub(super) fn follow_devices(&mut self, subscription: Option<Subscription>) {
        self.devices = subscription;
        self.generation += 1;
        self.domains_hash = None;
    }

    /// Subscribes to the domains, of which these were sent. They are read once more, since they may have changed
    /// meanwhile.
    pub(super) fn follow_domains(&mut self, sent: Option<SentDomains>, src: Option<Box<str>>) {
        self.domains_refresh.wanted |= sent.is_some();
        self.domains = sent.map(|sent| Snapshot { src, sent });
    }

    /// Subscribes to the number of unassigned devices, of which this was sent. It is read once more.
    pub(super) fn follow_count(&mut self, sent: Option<u64>, src: Option<Box<str>>) {
        self.count_refresh.wanted |= sent.is_some();
        self.count = sent.map(|sent| Snapshot { src, sent });
    }

    pub(super) fn on_change(&mut self, change: DataChange) {
        match change {
            DataChange::Devices(keys) => {
                if let Some(devices) = &mut self.devices {
                    devices.changed(keys.iter().cloned());
                }
            }
            DataChange::UnassignedChanged => {
                self.count_refresh.wanted |= self.count.is_some();
                if let Some(devices) = &mut self.devices {
                    devices.unassigned_changed();
                }
            }
            DataChange::Domains => self.domains_refresh.wanted = true,
            DataChange::Anything => {
                self.domains_refresh.wanted = true;
                self.count_refresh.wanted |= self.count.is_some();
                if let Some(devices) = &mut self.devices {
                    devices.all_changed();
                }
            }
        }
    }

    /// When [`Subscriptions::next`] has to be called.
    pub(super) fn deadline(&self) -> Option<Tick> {
        let devices = self.devices.as_ref().and_then(Subscription::deadline);
        [devices, self.domains_refresh.deadline(), self.count_refresh.deadline()].into_iter().flatten().min()
    }

    /// Whether more data waits for the client than allowed (`docs/protocol/devices-api.md` 4.6).
    pub(super) fn is_overfull(&self) -> bool {
        self.devices.as_ref().is_some_and(Subscription::is_overfull)
    }

    /// The next read to ask for; it gets this number.
    pub(super) fn next(&mut self, number: u64, now: Tick) -> Option<Ask> {
        let (kind, ask) = if self.domains_refresh.begin(now) {
            (Kind::Domains, Ask::Domains)
        } else if self.count_refresh.begin(now) {
            (Kind::Count, Ask::Unassigned)
        } else {
            let ask = match self.devices.as_mut()?.next(now)? {
                NextRead::Devices(keys, selection) => Ask::Look(keys, selection),
                NextRead::All(selection) => Ask::List(selection),
                NextRead::NextPage(walk) => Ask::More(walk),
            };
            (Kind::Devices, ask)
        };
        self.reads.insert(number, (kind, self.generation));
        Some(ask)
    }

    /// Handles the answer to a read of these subscriptions. Returns the notices to send, and whether the topics have
    /// to be announced again. Any other answer is returned as the error.
    pub(super) fn on_answer(&mut self, number: u64, answer: Answer, now: Tick) -> Result<(Vec<String>, bool), Answer> {
        let Some((kind, generation)) = self.reads.remove(&number) else { return Err(answer) };
        match kind {
            Kind::Domains => {
                self.domains_refresh.reading = false;
                match answer {
                    Answer::Domains(views) => return Ok(self.on_domains(&views)),
                    _ => self.domains_refresh.wanted = true,
                }
            }
            Kind::Count => {
                self.count_refresh.reading = false;
                match (answer, &mut self.count) {
                    (Answer::Unassigned(count), Some(snapshot)) if snapshot.sent != count => {
                        snapshot.sent = count;
                        return Ok((vec![answers::count_notice(snapshot.src.as_deref(), count)], false));
                    }
                    (Answer::Unassigned(_), _) | (_, None) => {}
                    _ => self.count_refresh.wanted = true,
                }
            }
            // The filter has been replaced since.
            Kind::Devices if generation != self.generation => {}
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
        for (id, (text, _)) in &texts {
            (id, text).hash(&mut hasher);
        }
        let domains_hash = Some(hasher.finish());
        let hash_changed = self.domains_hash != domains_hash;
        self.domains_hash = domains_hash;
        if let Some(devices) = self.devices.as_mut().filter(|_| hash_changed) {
            devices.all_changed();
        }
        let mut notices = Vec::new();
        if let Some(Snapshot { src, sent }) = &mut self.domains {
            let src = src.as_deref();
            for (id, (text, settings)) in &texts {
                let mt = match sent.get(id) {
                    None => "DomainAdded",
                    Some((old, of)) if (old, of) != (text, settings) => "DomainEdited",
                    Some(_) => continue,
                };
                notices.push(answers::notice(mt, src, "domain", text));
            }
            let gone = sent.keys().filter(|id| !texts.contains_key(id));
            notices.extend(gone.map(|id| answers::domain_deleted(src, *id)));
            *sent = texts;
        }
        (notices, hash_changed)
    }
}
