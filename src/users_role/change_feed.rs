//! What has changed about requests: told to the pages of all nodes, a few times a second at most.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};

use crate::core::model::ids::DomainName;
use crate::core::model::users_role::{Changed, PhoneRequest};
use crate::store::{Bus, Signal};

/// News that wait for one page; a page that is slower reads everything again.
const WAITING: usize = 1024;

/// Changes that wait to be told; more are lost, and with them only time.
const QUEUE: usize = 16_384;

/// Changes that are told in one signal.
const TOGETHER: usize = 500;

/// Changes within this time go out together.
const COLLECT: Duration = Duration::from_millis(100);

/// What a page is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestChange {
    /// Something about a request has changed.
    Changed(Changed),
    /// News may have been lost: everything that is shown has to be read again.
    Missed,
}

/// Tells all nodes of changes in one domain.
#[derive(Debug, Clone)]
pub(super) struct ChangePublisher(mpsc::Sender<Changed>);

impl ChangePublisher {
    /// Tells until it and its clones are dropped.
    pub fn start(bus: Arc<dyn Bus>, domain: DomainName) -> Self {
        let (teller, mut waiting) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let mut changed = Vec::new();
            while waiting.recv_many(&mut changed, TOGETHER).await > 0 {
                tokio::time::sleep(COLLECT).await;
                while changed.len() < TOGETHER
                    && let Ok(more) = waiting.try_recv()
                {
                    changed.push(more);
                }
                let signal = Signal::People { domain: domain.clone(), changed: std::mem::take(&mut changed) };
                if let Err(error) = bus.publish(&signal).await {
                    tracing::debug!(%error, "pages were not told of changes");
                }
            }
        });
        Self(teller)
    }

    /// Something about this request has changed.
    pub fn tell(&self, request: &PhoneRequest) {
        if self.0.try_send(Changed::of(request)).is_err() {
            tracing::debug!("a change was not told: too many wait");
        }
    }
}

/// The listeners of this node.
#[derive(Debug)]
pub(super) struct Listeners(HashMap<DomainName, broadcast::Sender<RequestChange>>);

impl Listeners {
    pub fn of<'a>(domains: impl Iterator<Item = &'a DomainName>) -> Self {
        Self(domains.map(|domain| (domain.clone(), broadcast::channel(WAITING).0)).collect())
    }

    pub fn listen(&self, domain: &DomainName) -> Option<broadcast::Receiver<RequestChange>> {
        self.0.get(domain).map(broadcast::Sender::subscribe)
    }

    /// Passes on what the nodes say.
    pub fn pass_on(&self, signal: Signal) {
        // Nobody may be listening, which is no mistake.
        match signal {
            Signal::People { domain, changed } => {
                if let Some(listeners) = self.0.get(&domain) {
                    for changed in changed {
                        let _ = listeners.send(RequestChange::Changed(changed));
                    }
                }
            }
            Signal::Gap => {
                for listeners in self.0.values() {
                    let _ = listeners.send(RequestChange::Missed);
                }
            }
            _ => {}
        }
    }
}
