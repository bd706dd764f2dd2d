//! [`super::Observed`] for `fleet.rs`.

use async_trait::async_trait;

use super::{Observed, timed};
use std::time::Duration;

use crate::core::model::ids::{CategoryId, DeviceId, DeviceKey, DomainName};
use crate::core::model::work::Work;
use crate::metrics::StoreOp;
use crate::store::{Entered, Entry, Fleet, Listing, Offer, Result, Store, UnassignedListing, Whereabouts};

#[async_trait]
impl<S: Store> Fleet for Observed<S> {
    async fn devices(&self, domain: &DomainName, after: DeviceId, limit: usize) -> Result<Vec<Listing>> {
        timed(StoreOp::Devices, self.0.devices(domain, after, limit)).await
    }

    async fn device_count(&self, domain: &DomainName) -> Result<u64> {
        timed(StoreOp::DeviceCount, self.0.device_count(domain)).await
    }

    async fn rename(&self, domain: &DomainName, key: &DeviceKey, name: Option<&str>) -> Result<bool> {
        timed(StoreOp::Rename, self.0.rename(domain, key, name)).await
    }

    async fn recategorise(&self, domain: &DomainName, key: &DeviceKey, category: CategoryId) -> Result<bool> {
        timed(StoreOp::Recategorise, self.0.recategorise(domain, key, category)).await
    }

    async fn keep_work(&self, domain: &DomainName, key: &DeviceKey, work: &Work) -> Result<()> {
        timed(StoreOp::KeepWork, self.0.keep_work(domain, key, work)).await
    }

    async fn ports(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Vec<Box<str>>>> {
        timed(StoreOp::Ports, self.0.ports(domain, key)).await
    }

    async fn remove_port(&self, domain: &DomainName, key: &DeviceKey, port: &str) -> Result<bool> {
        timed(StoreOp::RemovePort, self.0.remove_port(domain, key, port)).await
    }

    async fn transfer(&self, from: &DomainName, entry: &Entry) -> Result<Entered> {
        timed(StoreOp::Transfer, self.0.transfer(from, entry)).await
    }

    async fn offer(&self, to: &DomainName, offer: &Offer, keep: Duration) -> Result<()> {
        timed(StoreOp::Offer, self.0.offer(to, offer, keep)).await
    }

    async fn offers(&self, to: &DomainName) -> Result<Vec<Offer>> {
        timed(StoreOp::Offers, self.0.offers(to)).await
    }

    async fn end_offer(&self, to: &DomainName, key: &DeviceKey) -> Result<bool> {
        timed(StoreOp::EndOffer, self.0.end_offer(to, key)).await
    }

    async fn unassigned_devices(&self, after: DeviceId, limit: usize) -> Result<Vec<UnassignedListing>> {
        timed(StoreOp::ListUnassigned, self.0.unassigned_devices(after, limit)).await
    }

    async fn unassigned_count(&self) -> Result<u64> {
        timed(StoreOp::UnassignedCount, self.0.unassigned_count()).await
    }

    async fn attach_unassigned(&self, key: &DeviceKey, at: &Whereabouts, keep: Duration) -> Result<bool> {
        timed(StoreOp::AttachUnassigned, self.0.attach_unassigned(key, at, keep)).await
    }

    async fn detach_unassigned(&self, key: &DeviceKey, at: &Whereabouts) -> Result<()> {
        timed(StoreOp::DetachUnassigned, self.0.detach_unassigned(key, at)).await
    }

    async fn unassigned_device(&self, key: &DeviceKey) -> Result<Option<UnassignedListing>> {
        timed(StoreOp::FindUnassigned, self.0.unassigned_device(key)).await
    }

    async fn forget_unassigned(&self, key: &DeviceKey) -> Result<bool> {
        timed(StoreOp::ForgetUnassigned, self.0.forget_unassigned(key)).await
    }
}
