//! Not yet.

use async_trait::async_trait;

use super::Embedded;
use std::time::Duration;

use crate::core::ids::{CategoryId, DeviceId, DeviceKey, DomainName};
use crate::core::jobs::work::Work;
use crate::store::{Entered, Entry, Fleet, Listing, Offer, Result, StrangerListing, Whereabouts};

#[async_trait]
impl Fleet for Embedded {
    async fn devices(&self, _domain: &DomainName, _after: DeviceId, _limit: usize) -> Result<Vec<Listing>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn device_count(&self, _domain: &DomainName) -> Result<u64> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn rename(&self, _domain: &DomainName, _key: &DeviceKey, _name: Option<&str>) -> Result<bool> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn recategorise(&self, _domain: &DomainName, _key: &DeviceKey, _category: CategoryId) -> Result<bool> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn keep_work(&self, _domain: &DomainName, _key: &DeviceKey, _work: &Work) -> Result<()> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn ports(&self, _domain: &DomainName, _key: &DeviceKey) -> Result<Option<Vec<Box<str>>>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn remove_port(&self, _domain: &DomainName, _key: &DeviceKey, _port: &str) -> Result<bool> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn transfer(&self, _from: &DomainName, _entry: &Entry) -> Result<Entered> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn offer(&self, _to: &DomainName, _offer: &Offer, _keep: Duration) -> Result<()> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn offers(&self, _to: &DomainName) -> Result<Vec<Offer>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn end_offer(&self, _to: &DomainName, _key: &DeviceKey) -> Result<bool> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn strangers(&self, _after: DeviceId, _limit: usize) -> Result<Vec<StrangerListing>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn stranger_count(&self) -> Result<u64> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn attach_stranger(&self, _key: &DeviceKey, _at: &Whereabouts) -> Result<()> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn detach_stranger(&self, _key: &DeviceKey, _at: &Whereabouts) -> Result<()> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn stranger(&self, _key: &DeviceKey) -> Result<Option<StrangerListing>> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }

    async fn forget_stranger(&self, _key: &DeviceKey) -> Result<bool> {
        Err(crate::store::StoreError::Unavailable("not yet".into()))
    }
}
