//! The subscriptions of a connection: devices, domains, device configurations, the number of unassigned devices
//! (`docs/protocol/devices-api.md` 4.6).
//!
//! At most one subscription of each kind. Every read that they need goes through here, one at a time for each kind.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::event::{Answer, Ask, DataChange, Topics};
use super::subscription::{MERGE, NextRead, Subscription};
use crate::core::model::device_view::DomainView;
use crate::core::model::ids::{ConfigId, DomainId, JobId};
use crate::core::model::time::Tick;
use crate::core::policy::jobs::device_config::Listed;
use crate::core::protocol::appws::message::ApiError;
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
    /// With the generation of the subscription.
    Configs(u64),
    Count,
}

/// The subscriptions of a connection.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    pub(super) devices: Option<Subscription>,
    domains: Option<Snapshot<SentDomains>>,
    domains_refresh: Refresh,
    configs: Option<(DomainId, Snapshot<KnownConfigs>)>,
    configs_refresh: Refresh,
    configs_generation: u64,
    count: Option<Snapshot<u64>>,
    count_refresh: Refresh,
    /// Hash of the domains at the last read of the devices; a device contains its category, which is part of the
    /// domain.
    domains_hash: Option<u64>,
    /// Reads under way, with the generation of the device filter that they belong to.
    reads: HashMap<u64, (Kind, u64)>,
    generation: u64,
}

/// The device configurations that a client knows, by their number: the latest job, and the JSON text.
pub(super) type KnownConfigs = BTreeMap<ConfigId, (JobId, String)>;

/// Device configurations as a client knows them once they were sent.
pub(super) fn known_configs(listed: &[Listed]) -> KnownConfigs {
    let known = |listed: &Listed| (listed.config.id, (listed.latest, objects::listed_config(&listed.config)));
    listed.iter().map(known).collect()
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
            domains: members.is_some() || self.domains.is_some() || self.configs.is_some(),
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

    /// Subscribes to the device configurations of a domain, of which these were sent. They are read once more.
    pub(super) fn follow_configs(&mut self, sent: Option<(DomainId, KnownConfigs)>, src: Option<Box<str>>) {
        // A read under way is of another domain.
        self.configs_refresh = Refresh { wanted: sent.is_some(), reading: false, ..self.configs_refresh };
        self.configs_generation += 1;
        self.configs = sent.map(|(domain, sent)| (domain, Snapshot { src, sent }));
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
            DataChange::Domains => {
                self.domains_refresh.wanted = true;
                self.configs_refresh.wanted |= self.configs.is_some();
            }
            DataChange::Anything => {
                self.domains_refresh.wanted = true;
                self.configs_refresh.wanted |= self.configs.is_some();
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
        let small = [&self.domains_refresh, &self.configs_refresh, &self.count_refresh].map(Refresh::deadline);
        small.into_iter().chain([devices]).flatten().min()
    }

    /// Whether more data waits for the client than allowed (`docs/protocol/devices-api.md` 4.6).
    pub(super) fn is_overfull(&self) -> bool {
        self.devices.as_ref().is_some_and(Subscription::is_overfull)
    }

    /// The next read to ask for; it gets this number.
    pub(super) fn next(&mut self, number: u64, now: Tick) -> Option<Ask> {
        let (kind, ask) = if self.domains_refresh.begin(now) {
            (Kind::Domains, Ask::Domains)
        } else if let Some((domain, _)) = &self.configs
            && self.configs_refresh.begin(now)
        {
            (Kind::Configs(self.configs_generation), Ask::DeviceConfigs { domain: Some(*domain) })
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
            // Another domain has been subscribed to since.
            Kind::Configs(generation) if generation != self.configs_generation => {}
            Kind::Configs(_) => {
                self.configs_refresh.reading = false;
                match answer {
                    Answer::DeviceConfigs(_, listed) => return Ok((self.on_configs(known_configs(&listed)), false)),
                    // The domain is gone, or no longer within the rights.
                    Answer::Failed(ApiError::NotFound) => return Ok((self.on_configs(KnownConfigs::new()), false)),
                    _ => self.configs_refresh.wanted = true,
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

    fn on_configs(&mut self, now: KnownConfigs) -> Vec<String> {
        let Some((domain, Snapshot { src, sent })) = &mut self.configs else { return Vec::new() };
        let src = src.as_deref();
        let mut notices = Vec::new();
        for (id, config) in &now {
            let mt = match sent.get(id) {
                None => "DeviceConfigAdded",
                Some(before) if before != config => "DeviceConfigEdited",
                Some(_) => continue,
            };
            notices.push(answers::notice(mt, src, "config", &config.1));
        }
        let gone = sent.keys().filter(|id| !now.contains_key(id));
        notices.extend(gone.map(|id| answers::device_config_deleted(src, *id, *domain)));
        *sent = now;
        notices
    }
}
