//! Publishes changes of phone requests to the pages of all nodes, batched and at most ten signals a second.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};

use crate::core::model::ids::DomainName;
use crate::core::model::users_role::{Changed, PhoneRequest};
use crate::store::{Bus, Signal};

/// Bound of pending changes per page; a page that falls behind reads everything again.
const WAITING: usize = 1024;

/// Bound of changes waiting to be published; beyond it changes are dropped, and pages see them later.
const QUEUE: usize = 16_384;

/// Changes per signal.
const BATCH: usize = 500;

/// How long changes are collected for one signal.
const COLLECT: Duration = Duration::from_millis(100);

/// Event for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestChange {
    /// A request has changed.
    Changed(Changed),
    /// Changes may have been lost: read everything that is shown again.
    Missed,
}

/// Publishes changes of one domain to all nodes.
#[derive(Debug, Clone)]
pub(super) struct ChangePublisher(mpsc::Sender<Changed>);

impl ChangePublisher {
    /// Publishes until this and all clones are dropped.
    pub fn start(bus: Arc<dyn Bus>, domain: DomainName) -> Self {
        let (sender, mut waiting) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let mut changed = Vec::new();
            while waiting.recv_many(&mut changed, BATCH).await > 0 {
                tokio::time::sleep(COLLECT).await;
                while changed.len() < BATCH
                    && let Ok(more) = waiting.try_recv()
                {
                    changed.push(more);
                }
                let signal = Signal::People { domain: domain.clone(), changed: std::mem::take(&mut changed) };
                if let Err(error) = bus.publish(&signal).await {
                    tracing::debug!(%error, "changes of phone requests not published");
                }
            }
        });
        Self(sender)
    }

    /// Queues a change of this request.
    pub fn publish(&self, request: &PhoneRequest) {
        if self.0.try_send(Changed::of(request)).is_err() {
            tracing::debug!("change of a phone request dropped: queue full");
        }
    }
}

/// Subscriptions of the pages of this node, by domain.
#[derive(Debug)]
pub(super) struct Listeners(HashMap<DomainName, broadcast::Sender<RequestChange>>);

impl Listeners {
    pub fn of<'a>(domains: impl Iterator<Item = &'a DomainName>) -> Self {
        Self(domains.map(|domain| (domain.clone(), broadcast::channel(WAITING).0)).collect())
    }

    pub fn listen(&self, domain: &DomainName) -> Option<broadcast::Receiver<RequestChange>> {
        self.0.get(domain).map(broadcast::Sender::subscribe)
    }

    /// Forwards a signal to the subscribers.
    pub fn forward(&self, signal: Signal) {
        // Sending fails without subscribers, which is no error.
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
