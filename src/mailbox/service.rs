//! The mailboxes in the store: notices are deposited, taken under a lease, given back and settled
//! (`docs/protocol/devices-api.md` 2.5).
//!
//! It keeps nothing between two calls and does not know who receives a notice; that is [`crate::mailbox::delivery`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::core::model::device::{CodeState, Notice};
use crate::core::model::device_view::DeviceView;
use crate::core::model::ids::{Code, DeviceKey, DomainName, NodeId};
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::core::session::app::event::Delivery;
use crate::metrics::{self, Counter, NoticeEvent};
use crate::registration::RegistrationService;
use crate::store::{self, Signal, Store};
use crate::tenant_cache::Tenants;

/// Lease of a notice that a node has taken; longer than settling takes at most.
const LEASE: Duration = Duration::from_secs(60);

/// Bounds and times of the mailboxes.
#[derive(Debug, Clone, Copy)]
pub struct MailboxSettings {
    /// Unsettled notices that one app connection may have.
    pub window: usize,
    /// A notice is deposited this long after the entry even if the work is not finished.
    pub overdue_after: Duration,
}

/// The mailboxes of all domains, as one node uses them.
pub struct Mailbox {
    node: NodeId,
    store: Arc<dyn Store>,
    tenants: Arc<Tenants>,
    registration: Arc<RegistrationService>,
    settings: MailboxSettings,
}

/// A request of the delivery of a domain to the store.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Take up to `limit` notices, none of these codes.
    Take {
        /// How many at most.
        limit: usize,
        /// Codes whose notices are not wanted.
        skip: Vec<Code>,
    },
    /// Look up which device has used this code.
    LookUp(Code),
    /// Take these delivered notices out of the mailbox.
    Settle(Vec<Code>),
    /// Give these taken notices back, and tell the other nodes that there is something in the mailbox.
    Release(Vec<Code>),
    /// Deposit the notices whose work takes too long.
    DepositOverdue,
}

/// Outcome of a [`Request`].
#[derive(Debug)]
pub enum Outcome {
    /// Notices with their devices; `None`: the device has been removed since.
    Taken(store::Result<Vec<(Notice, Option<DeviceView>)>>),
    /// The device that has used the code.
    LookedUp(store::Result<Option<Box<Delivery>>>),
    /// Whether these notices are settled.
    Settled(Vec<Code>, store::Result<()>),
    /// Whether the notices were given back.
    Released(store::Result<()>),
    /// How many overdue notices were deposited.
    Deposited(store::Result<u64>),
}

impl Mailbox {
    /// The mailboxes in `store`, for the node of this name.
    pub fn new(
        node: NodeId,
        store: Arc<dyn Store>,
        tenants: Arc<Tenants>,
        registration: Arc<RegistrationService>,
        settings: MailboxSettings,
    ) -> Self {
        Self { node, store, tenants, registration, settings }
    }

    /// Unsettled notices that one app connection may have.
    pub const fn window(&self) -> usize {
        self.settings.window
    }

    /// Moves the notice that is owed for a device into the mailbox of its domain and wakes up the receivers. False if
    /// it has to be tried again.
    pub async fn deposit(&self, domain: DomainName, key: &DeviceKey, code: Code) -> bool {
        match self.store.deposit(&domain, key).await {
            Ok(new) => {
                count(NoticeEvent::Deposited, u64::from(new));
                if new {
                    let subjects = vec![Subject::Device(key.clone()), Subject::Code(code)];
                    self.registration.record_event(&domain, subjects, TimelineEvent::NoticeReady);
                }
                self.wake(domain, Some(code)).await;
                true
            }
            Err(error) => {
                tracing::warn!(%error, device = %key, "notice not deposited; trying again");
                false
            }
        }
    }

    /// Tells all nodes that there is something in the mailbox of a domain; `code`: that its notice is new.
    pub async fn wake(&self, domain: DomainName, code: Option<Code>) {
        if let Err(error) = self.store.publish(&Signal::Mail { domain, code }).await {
            // Every node also checks its mailboxes periodically.
            tracing::warn!(%error, "mailbox wake-up not published");
        }
    }

    /// Adds to the timelines of a notice, soon.
    pub fn note(&self, domain: &DomainName, code: Code, device: DeviceKey, event: TimelineEvent) {
        self.registration.record_event(domain, vec![Subject::Code(code), Subject::Device(device)], event);
    }

    /// Performs a request of the delivery of a domain.
    pub async fn perform(&self, domain: &DomainName, request: Request) -> Outcome {
        match request {
            Request::Take { limit, skip } => Outcome::Taken(self.take(domain, limit, &skip).await),
            Request::LookUp(code) => Outcome::LookedUp(self.used_by(domain, code).await),
            Request::Settle(codes) => {
                let result = self.store.settle(domain, &codes).await;
                Outcome::Settled(codes, result)
            }
            Request::Release(codes) => Outcome::Released(self.release(domain, &codes).await),
            Request::DepositOverdue => {
                // The order of `docs/protocol/sysclient.md` 5.2 and `docs/concept.md` section 8 gives way to a person
                // who waits.
                Outcome::Deposited(self.store.deposit_overdue(domain, self.settings.overdue_after).await)
            }
        }
    }

    async fn take(
        &self,
        domain: &DomainName,
        limit: usize,
        skip: &[Code],
    ) -> store::Result<Vec<(Notice, Option<DeviceView>)>> {
        let notices = self.store.take(domain, &self.node, LEASE, limit, skip).await?;
        let views = notices.iter().map(|notice| device_view(&*self.store, &self.tenants, domain, &notice.device));
        let views = join_all(views).await;
        notices.into_iter().zip(views).map(|(notice, view)| Ok((notice, view?))).collect()
    }

    async fn release(&self, domain: &DomainName, codes: &[Code]) -> store::Result<()> {
        if !codes.is_empty() {
            self.store.release(domain, &self.node, codes).await?;
        }
        self.store.publish(&Signal::Mail { domain: domain.clone(), code: None }).await
    }

    /// The device that has used a code, and the port if it was for one; `None` if there is no such device (any more).
    async fn used_by(&self, domain: &DomainName, code: Code) -> store::Result<Option<Box<Delivery>>> {
        let Some(issued) = self.store.code_in(domain, code).await? else { return Ok(None) };
        let CodeState::Used { by, port } = issued.state else { return Ok(None) };
        let device = device_view(&*self.store, &self.tenants, domain, &by).await?;
        Ok(device.map(|device| Box::new(Delivery { code, port, device })))
    }
}

/// A device of this domain as clients see it; `None` if it is not of this domain (any more).
pub async fn device_view(
    store: &dyn Store,
    tenants: &Tenants,
    domain: &DomainName,
    key: &DeviceKey,
) -> store::Result<Option<DeviceView>> {
    let device = store.find_device(key).await?;
    let Some(device) = device.filter(|d| d.domain == *domain) else { return Ok(None) };
    let Some(tenant) = tenants.find(domain).await? else { return Ok(None) };
    let online = store.whereabouts(domain, key).await?.is_some();
    Ok(Some(DeviceView::member(device, &tenant, online)))
}

/// Addresses the notice of a code to this node, because a connection here asks about the code and nobody else waits for
/// it.
pub async fn address_notice(store: &dyn Store, node: &NodeId, domain: &DomainName, code: Code) -> store::Result<()> {
    store.hold_code(domain, code, node).await
}

pub(super) fn count(event: NoticeEvent, many: u64) {
    metrics::count_many(Counter::Notice(event), many);
}
