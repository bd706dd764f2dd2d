//! Overview for operators: numbers of devices and notices, failures, storms.

use super::outcomes::Outcome;
use super::{Admin, Authority, Result};
use crate::attempts::SecretKind;
use crate::core::model::ids::{DeviceId, DomainName};
use crate::core::model::work::State;
use crate::core::policy::storm::Storm;
use crate::metrics::GateName;
use crate::store::{DeviceListing, Misdirected, Signal, Totals};

/// Most devices that are read for one overview.
const SCAN_LIMIT: usize = 5000;

/// Most source addresses of a kind that are returned.
const MOST_SOURCES: usize = 10;

/// Most devices with failures that are returned.
const MOST_FAILING: usize = 20;

/// Overview of a domain.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Devices of the domain.
    pub devices: u64,
    /// How many of the devices read are connected.
    pub online: u64,
    /// How many devices were read: the first ones by number.
    pub looked_at: u64,
    /// Notices in the mailbox.
    pub notices: u64,
    /// Devices whose last attempt of some work failed, and that work.
    pub failing: Vec<(DeviceListing, Vec<Outcome>)>,
    /// How many of them were found.
    pub failures: u64,
    /// Categories that devices name with the right token, and that the domain does not have for them.
    pub misdirected: Vec<Misdirected>,
    /// The current storm, if any: how many of the devices read are missing, and the estimated time until the devices of
    /// all domains are back.
    pub storm: Option<Storm>,
}

/// Overview of the whole instance.
#[derive(Debug, Clone, Copy)]
pub struct WholeInstance {
    /// Figures of the store.
    pub totals: Totals,
    /// Connections open on this node.
    pub connections: usize,
    /// Connections that wait for their handshake on this node.
    pub waiting: usize,
    /// Devices that wait for their registration on this node.
    pub registering: usize,
    /// The current storm, if any.
    pub storm: Option<Storm>,
}

/// Attempts at one kind of secret on this node.
#[derive(Debug, Clone)]
pub struct Guessing {
    /// The kind.
    pub kind: SecretKind,
    /// Attempts that wait.
    pub waiting: usize,
    /// Source addresses that have used up their free wrong attempts, and the number of those (at most those that make a
    /// difference). From the memory of this node: addresses are neither stored nor logged.
    pub sources: Vec<(String, u32)>,
}

impl Admin {
    /// Who guesses at what, and how many wait because of that, on this node. Kinds without any of both are left out.
    pub fn guessing(&self, authority: &Authority) -> Result<Vec<Guessing>> {
        authority.instance_only()?;
        let attempts = self.services.registration.attempts();
        let of = |kind| Guessing {
            kind,
            waiting: attempts.waiting(kind),
            sources: attempts
                .guessing(kind, MOST_SOURCES)
                .into_iter()
                .map(|(source, wrong)| (source.exposed(), wrong))
                .collect(),
        };
        let all = SecretKind::ALL.into_iter().map(of);
        Ok(all.filter(|found| found.waiting > 0 || !found.sources.is_empty()).collect())
    }

    /// Overview of a domain.
    pub async fn overview(&self, authority: &Authority, named: &str) -> Result<Overview> {
        let domain = self.domain(authority, named).await?;
        let store = &self.services.store;
        let mut overview = Overview {
            devices: store.device_count(&domain.name).await?,
            online: 0,
            looked_at: 0,
            notices: store.depth(&domain.name).await?,
            failing: Vec::new(),
            failures: 0,
            misdirected: store.misdirected(&domain.name).await?,
            storm: None,
        };
        let mut after = DeviceId(0);
        while overview.looked_at < SCAN_LIMIT as u64 {
            let page = store.devices(&domain.name, after, super::MAX_PAGE).await?;
            let last = page.len() < super::MAX_PAGE;
            for listing in page {
                after = listing.device.id;
                overview.looked_at += 1;
                overview.online += u64::from(listing.at.is_some());
                let failed = |outcome: &Outcome| matches!(outcome.progress.state, State::Failed(_));
                let failed: Vec<_> = Outcome::of(&listing.device).into_iter().filter(failed).collect();
                if !failed.is_empty() {
                    overview.failures += 1;
                    if overview.failing.len() < MOST_FAILING {
                        overview.failing.push((listing, failed));
                    }
                }
            }
            if last {
                break;
            }
        }
        let missing = overview.looked_at - overview.online;
        overview.storm =
            self.services.admission.storm().filter(|_| missing > 0).map(|storm| Storm { missing, ..storm });
        Ok(overview)
    }

    /// Overview of the whole instance.
    pub async fn whole_instance(&self, authority: &Authority) -> Result<WholeInstance> {
        authority.instance_only()?;
        let services = &self.services;
        Ok(WholeInstance {
            totals: services.store.figures().await?,
            connections: services.connections.open(),
            waiting: services.admission.waiting(GateName::Connection),
            registering: services.admission.waiting(GateName::Registration),
            storm: services.admission.storm(),
        })
    }

    /// Stream of changes of a domain (`None`: of all domains) on any node. An item says only that something has
    /// changed.
    pub fn changes(&self, domain: Option<DomainName>) -> impl futures_util::Stream<Item = ()> + 'static + use<> {
        let signals = self.services.store.subscribe();
        futures_util::stream::unfold((signals, domain), |(mut signals, domain)| async move {
            loop {
                let signal = signals.recv().await?;
                if concerns(&signal, domain.as_ref()) {
                    return Some(((), (signals, domain)));
                }
            }
        })
    }
}

fn concerns(signal: &Signal, domain: Option<&DomainName>) -> bool {
    let named = match signal {
        Signal::Mail { domain, .. }
        | Signal::Tenant { domain }
        | Signal::Changed { domain, .. }
        | Signal::Gone { domain, .. } => domain,
        Signal::UnassignedChanged => return domain.is_none(),
        Signal::Gap => return true,
        Signal::Evict { .. } | Signal::Recheck { .. } | Signal::People { .. } | Signal::SessionsEnded { .. } => {
            return false;
        }
    };
    domain.is_none_or(|domain| domain == named)
}
