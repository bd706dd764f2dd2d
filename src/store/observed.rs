//! Times and counts every operation of a store, whichever it is.

mod accounts;
mod codebook;
mod figures;
mod fleet;
mod locks;
mod tenancy;
mod timelines;
mod tls_ticket_keys;
mod users_role;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{
    Bus, CodeRecord, Codes, Contact, Devices, Domains, Entered, Entry, Listed, Listings, Mailbox, NewDomain,
    NewListing, PortClaim, Presence, PutCode, Remembered, Result, Signal, Store, Whereabouts,
};
use crate::clock::Stopwatch;
use crate::core::model::device::{Device, Domain, Facts, IssuedCode, Notice};
use crate::core::model::ids::{Code, DeviceKey, DomainName, NodeId, Secret};
use crate::core::model::time::UnixMillis;
use crate::metrics::{self, Counter, StoreOp, Timer};

/// A store whose operations are measured.
pub struct Observed<S>(pub S);

async fn timed<T>(operation: StoreOp, future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let watch = Stopwatch::start();
    let result = future.await;
    metrics::observe(Timer::Store(operation), watch.elapsed());
    if result.is_err() {
        metrics::count(Counter::StoreFailed(operation));
    }
    result
}

#[async_trait]
impl<S: Store> Domains for Observed<S> {
    async fn ensure_domain(&self, new: &NewDomain) -> Result<Domain> {
        timed(StoreOp::EnsureDomain, self.0.ensure_domain(new)).await
    }

    async fn domain(&self, name: &DomainName) -> Result<Option<Domain>> {
        timed(StoreOp::Domains, self.0.domain(name)).await
    }

    async fn domains(&self) -> Result<Vec<Domain>> {
        timed(StoreOp::Domains, self.0.domains()).await
    }
}

#[async_trait]
impl<S: Store> Codes for Observed<S> {
    async fn put_code(&self, new: &CodeRecord, max_open: u64) -> Result<PutCode> {
        timed(StoreOp::PutCode, self.0.put_code(new, max_open)).await
    }

    async fn find_code(&self, code: Code) -> Result<Option<IssuedCode>> {
        timed(StoreOp::FindCode, self.0.find_code(code)).await
    }

    async fn code_in(&self, domain: &DomainName, code: Code) -> Result<Option<IssuedCode>> {
        timed(StoreOp::CodeIn, self.0.code_in(domain, code)).await
    }

    async fn hold_code(&self, domain: &DomainName, code: Code, node: &NodeId) -> Result<()> {
        timed(StoreOp::HoldCode, self.0.hold_code(domain, code, node)).await
    }
}

#[async_trait]
impl<S: Store> Devices for Observed<S> {
    async fn find_device(&self, key: &DeviceKey) -> Result<Option<Device>> {
        timed(StoreOp::FindDevice, self.0.find_device(key)).await
    }

    async fn enter(&self, entry: &Entry) -> Result<Entered> {
        timed(StoreOp::Enter, self.0.enter(entry)).await
    }

    async fn confirm(&self, domain: &DomainName, key: &DeviceKey, password: &Secret) -> Result<()> {
        timed(StoreOp::Confirm, self.0.confirm(domain, key, password)).await
    }

    async fn refresh(&self, domain: &DomainName, key: &DeviceKey, facts: &Facts) -> Result<()> {
        timed(StoreOp::Refresh, self.0.refresh(domain, key, facts)).await
    }

    async fn remove(&self, domain: &DomainName, key: &DeviceKey) -> Result<bool> {
        timed(StoreOp::Remove, self.0.remove(domain, key)).await
    }

    async fn claim_port(&self, domain: &DomainName, key: &DeviceKey, port: &str, code: Code) -> Result<PortClaim> {
        timed(StoreOp::ClaimPort, self.0.claim_port(domain, key, port, code)).await
    }

    async fn record_unassigned(&self, key: &DeviceKey, facts: &Facts, keep: Duration) -> Result<()> {
        timed(StoreOp::RecordUnassigned, self.0.record_unassigned(key, facts, keep)).await
    }
}

#[async_trait]
impl<S: Store> Mailbox for Observed<S> {
    async fn deposit(&self, domain: &DomainName, key: &DeviceKey) -> Result<bool> {
        timed(StoreOp::Deposit, self.0.deposit(domain, key)).await
    }

    async fn deposit_overdue(&self, domain: &DomainName, age: Duration) -> Result<u64> {
        timed(StoreOp::DepositOverdue, self.0.deposit_overdue(domain, age)).await
    }

    async fn take(
        &self,
        domain: &DomainName,
        node: &NodeId,
        lease: Duration,
        limit: usize,
        skip: &[Code],
    ) -> Result<Vec<Notice>> {
        timed(StoreOp::Take, self.0.take(domain, node, lease, limit, skip)).await
    }

    async fn release(&self, domain: &DomainName, node: &NodeId, codes: &[Code]) -> Result<()> {
        timed(StoreOp::Release, self.0.release(domain, node, codes)).await
    }

    async fn settle(&self, domain: &DomainName, codes: &[Code]) -> Result<()> {
        timed(StoreOp::Settle, self.0.settle(domain, codes)).await
    }

    async fn depth(&self, domain: &DomainName) -> Result<u64> {
        timed(StoreOp::Depth, self.0.depth(domain)).await
    }
}

#[async_trait]
impl<S: Store> Presence for Observed<S> {
    async fn renew_lease(&self, node: &NodeId, ttl: Duration) -> Result<()> {
        timed(StoreOp::RenewLease, self.0.renew_lease(node, ttl)).await
    }

    async fn end_lease(&self, node: &NodeId) -> Result<()> {
        timed(StoreOp::EndLease, self.0.end_lease(node)).await
    }

    async fn attach(&self, domain: &DomainName, key: &DeviceKey, at: &Whereabouts) -> Result<Option<Whereabouts>> {
        timed(StoreOp::Attach, self.0.attach(domain, key, at)).await
    }

    async fn detach(&self, domain: &DomainName, key: &DeviceKey, at: &Whereabouts) -> Result<()> {
        timed(StoreOp::Detach, self.0.detach(domain, key, at)).await
    }

    async fn whereabouts(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Whereabouts>> {
        timed(StoreOp::Whereabouts, self.0.whereabouts(domain, key)).await
    }
}

#[async_trait]
impl<S: Store> Listings for Observed<S> {
    async fn list(&self, new: &NewListing, max_open: u64) -> Result<Listed> {
        timed(StoreOp::List, self.0.list(new, max_open)).await
    }

    async fn look_up(&self, code: Code) -> Result<Option<String>> {
        timed(StoreOp::LookUp, self.0.look_up(code)).await
    }

    async fn unlist(&self, code: Code, credential: &str) -> Result<bool> {
        timed(StoreOp::Unlist, self.0.unlist(code, credential)).await
    }

    async fn remember(&self, credential: &str, key: &str, answer: &Remembered) -> Result<Option<Remembered>> {
        timed(StoreOp::Remember, self.0.remember(credential, key, answer)).await
    }

    async fn recall(&self, credential: &str, key: &str) -> Result<Option<Remembered>> {
        timed(StoreOp::Recall, self.0.recall(credential, key)).await
    }

    async fn contact(&self, contact: &Contact, entered: Option<Code>) -> Result<bool> {
        timed(StoreOp::Contact, self.0.contact(contact, entered)).await
    }

    async fn open_listings(&self) -> Result<u64> {
        timed(StoreOp::OpenListings, self.0.open_listings()).await
    }
}

#[async_trait]
impl<S: Store> Bus for Observed<S> {
    async fn publish(&self, signal: &Signal) -> Result<()> {
        timed(StoreOp::Publish, self.0.publish(signal)).await
    }

    fn subscribe(&self) -> mpsc::Receiver<Signal> {
        self.0.subscribe()
    }
}

#[async_trait]
impl<S: Store> Store for Observed<S> {
    async fn ping(&self) -> Result<()> {
        timed(StoreOp::Ping, self.0.ping()).await
    }

    async fn now(&self) -> Result<UnixMillis> {
        timed(StoreOp::Now, self.0.now()).await
    }
}
