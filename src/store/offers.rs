//! Offers of a device from one domain to another. Accepting one is [`super::Devices::transfer`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Result;
use super::observed::store_trait;
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::core::model::time::UnixMillis;

/// A device that one domain offers to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The device.
    pub key: DeviceKey,
    /// The domain that it belongs to.
    pub from: DomainName,
}

store_trait! {
    /// Offers between domains: at most one to a domain for each device.
    pub trait Offers: Send + Sync {
        /// Keeps an offer to `to` for `keep`.
        async fn offer(&self, to: &DomainName, offer: &Offer, keep: Duration) -> Result<()> => Offer;

        /// What is offered to a domain.
        async fn offers(&self, to: &DomainName) -> Result<Vec<Offer>> => Offers;

        /// When an offer ends; `None` if there is none.
        async fn offer_ends(&self, to: &DomainName, key: &DeviceKey) -> Result<Option<UnixMillis>> => Offers;

        /// Ends an offer that was withdrawn, refused or accepted. False if there is none.
        async fn end_offer(&self, to: &DomainName, key: &DeviceKey) -> Result<bool> => EndOffer;
    }
}
