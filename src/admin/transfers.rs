//! Transfers of devices between domains: one domain offers a device, the other accepts it. A caller with authority over
//! both domains moves it at once.

use std::sync::Arc;
use std::time::Duration;

use super::devices::has_category;
use super::{Admin, AdminError, Authority, Result};
use crate::core::model::device::{Device, Domain};
use crate::core::model::ids::{CategoryId, DeviceKey, DomainName};
use crate::core::model::timeline::TimelineEvent;
use crate::store::{DeviceListing, Offer};

/// How long an offer is kept.
pub const OFFER_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A device that is offered to a domain.
#[derive(Debug, Clone)]
pub struct OfferListing {
    /// The device.
    pub device: Device,
    /// Whether it is online; only then the offer can be accepted.
    pub online: bool,
}

impl Admin {
    /// Moves a device at once.
    pub async fn move_device(
        &self,
        authority: &Authority,
        domain: &str,
        hw_id: &str,
        to: &str,
        category: CategoryId,
    ) -> Result<(Arc<Domain>, Device)> {
        let from = self.domain(authority, domain).await?;
        let listing = self.listing(&from.name, hw_id).await?;
        if authority.instance_only().is_err() {
            return Err(AdminError::NotAllowed("offer the device to the other domain, which can then accept it"));
        }
        let to = self.domain(authority, to).await?;
        if to.name == from.name {
            return Err(AdminError::Conflict(
                "the device is in this domain already; change its category instead".into(),
            ));
        }
        let device = self.hand_over(listing, &to, category).await?;
        for domain in [&from, &to] {
            self.record(authority, "device.move", device.key.as_str(), Some(&domain.name)).await;
        }
        Ok((to, device))
    }

    /// Offers a device to another domain. The answer does not reveal whether the other domain exists.
    pub async fn offer_device(&self, authority: &Authority, domain: &str, hw_id: &str, to: &str) -> Result<()> {
        let from = self.domain(authority, domain).await?;
        authority.own_domain(&from.name)?;
        let key = self.listing(&from.name, hw_id).await?.device.key;
        let named = match to.parse() {
            Ok(id) => self.services.tenants.by_id(crate::core::model::ids::DomainId(id)).await?,
            Err(_) => match DomainName::parse(to) {
                Ok(name) => self.services.tenants.find(&name).await?,
                Err(_) => None,
            },
        };
        match named {
            Some(to) if to.name == from.name => {
                Err(AdminError::Conflict("the device is in this domain already; change its category instead".into()))
            }
            Some(to) => {
                let offer = Offer { key, from: from.name.clone() };
                self.services.store.offer(&to.name, &offer, OFFER_KEPT).await?;
                self.record(authority, "device.offer", offer.key.as_str(), Some(&from.name)).await;
                Ok(())
            }
            None if authority.domain.is_none() => Err(AdminError::NotFound("domain")),
            None => {
                // Recorded like any other, so that the log does not reveal either whether the domain exists.
                self.record(authority, "device.offer", key.as_str(), Some(&from.name)).await;
                Ok(())
            }
        }
    }

    /// The devices that are offered to a domain.
    pub async fn offers(&self, authority: &Authority, domain: &str) -> Result<Vec<OfferListing>> {
        let to = self.domain(authority, domain).await?;
        authority.own_domain(&to.name)?;
        let mut offers = Vec::new();
        for offer in self.services.store.offers(&to.name).await? {
            // A device that has been moved or removed since cannot be given by the domain that offered it.
            if let Some(DeviceListing { device, at }) = self.offered(&to.name, &offer).await? {
                offers.push(OfferListing { device, online: at.is_some() });
            }
        }
        Ok(offers)
    }

    /// Accepts an offer.
    pub async fn accept_offer(
        &self,
        authority: &Authority,
        domain: &str,
        hw_id: &str,
        category: CategoryId,
    ) -> Result<(Arc<Domain>, Device)> {
        let (to, key) = self.offered_to(authority, domain, hw_id).await?;
        let offers = self.services.store.offers(&to.name).await?;
        let offer = offers.into_iter().find(|offer| offer.key == key).ok_or(AdminError::NotFound("offer"))?;
        let listing = self.offered(&to.name, &offer).await?.ok_or(AdminError::NotFound("offer"))?;
        let device = self.hand_over(listing, &to, category).await?;
        self.services.store.end_offer(&to.name, &key).await?;
        for domain in [&offer.from, &to.name] {
            self.record(authority, "offer.accept", key.as_str(), Some(domain)).await;
        }
        Ok((to, device))
    }

    /// Refuses an offer.
    pub async fn refuse_offer(&self, authority: &Authority, domain: &str, hw_id: &str) -> Result<()> {
        let (to, key) = self.offered_to(authority, domain, hw_id).await?;
        let there = self.services.store.end_offer(&to.name, &key).await?;
        if !there {
            return Err(AdminError::NotFound("offer"));
        }
        self.record(authority, "offer.refuse", key.as_str(), Some(&to.name)).await;
        Ok(())
    }

    async fn offered_to(&self, authority: &Authority, domain: &str, hw_id: &str) -> Result<(Arc<Domain>, DeviceKey)> {
        let to = self.domain(authority, domain).await?;
        authority.own_domain(&to.name)?;
        let key = DeviceKey::parse(hw_id).map_err(|_| AdminError::NotFound("offer"))?;
        Ok((to, key))
    }

    async fn offered(&self, to: &DomainName, offer: &Offer) -> Result<Option<DeviceListing>> {
        let Some(ends) = self.services.store.offer_ends(to, &offer.key).await? else { return Ok(None) };
        match self.listing(&offer.from, offer.key.as_str()).await {
            // A device that has come in since then was not offered: it has left and come back, or another domain has
            // taken the name of the one that made the offer.
            Ok(listing) => Ok(Some(listing).filter(|listing| listing.device.entered + OFFER_KEPT <= ends)),
            Err(AdminError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn hand_over(
        &self,
        DeviceListing { device, at }: DeviceListing,
        to: &Domain,
        category: CategoryId,
    ) -> Result<Device> {
        let category = has_category(to, category)?;
        if at.is_none() {
            // An offline device would not receive its new password, and could not answer the next challenge.
            return Err(AdminError::Conflict(
                "the device is not online, so it cannot be given its new password; try again when it is".into(),
            ));
        }
        let from = device.domain.clone();
        let assigned =
            self.services.registration.assign(&device.key, Some(&from), &to.name, category, &device.facts).await?;
        let Some(moved) = assigned else {
            return Err(AdminError::Conflict("the device has just left its domain; look it up again".into()));
        };
        self.note(&from, &device.key, &TimelineEvent::Moved(to.name.as_str().into())).await;
        self.note(&to.name, &device.key, &TimelineEvent::Moved(from.as_str().into())).await;
        self.device_left(device).await;
        self.recheck(at).await;
        self.device_changed(&to.name, &moved.key).await;
        Ok(*moved)
    }
}
