//! Devices of a domain and unassigned devices: list, change, remove and assign.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Admin, AdminError, Authority, Result};
use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::device::{APP_PLATFORM, Device, Domain, UnassignedDevice, Way};
use crate::core::model::ids::{CategoryId, DeviceId, DeviceKey, DomainName};
use crate::core::model::timeline::{Subject, TimelineEvent};
use crate::store::{DeviceListing, Signal, UnassignedListing, Whereabouts};
use crate::tenant::messages::{MembershipBatch, MembershipChange};

/// Most devices in one page.
pub const MAX_PAGE: usize = 1000;

/// Most devices that one call checks against a filter. It then returns what it has found, and the caller continues.
const SCAN_LIMIT: usize = 10 * MAX_PAGE;

/// Longest name, in characters.
pub const MAX_NAME: usize = 128;

/// Changes of a device; `None` leaves it unchanged.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeviceChange<'a> {
    /// Name; empty: removes it.
    pub name: Option<&'a str>,
    /// Category.
    pub category: Option<CategoryId>,
    /// Path of the App IP, only for app platforms; empty: removes it.
    pub app_ip_path: Option<&'a str>,
}

/// The path of an App IP; `None`: it is to be removed.
fn read_app_ip(text: &str) -> Result<Option<AppIpPath>> {
    const FORM: &str = "at most 128 characters: letters, digits, `-`, `.`, `_` and `~` in parts between slashes";
    if text.is_empty() {
        return Ok(None);
    }
    AppIpPath::parse(text).map(Some).map_err(|_| AdminError::invalid("appIpPath", FORM))
}

/// Filter for devices of a domain; `None` matches all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Category.
    pub category: Option<CategoryId>,
    /// Type (`platform.type`).
    pub kind: Option<String>,
    /// Online or offline.
    pub online: Option<bool>,
    /// Text in the product name, without regard to case.
    pub product: Option<String>,
    /// Device keys.
    pub keys: Option<HashSet<DeviceKey>>,
}

impl Filter {
    fn matches(&self, DeviceListing { device, at }: &DeviceListing) -> bool {
        let product = |text: &String| device.facts.product.to_lowercase().contains(&text.to_lowercase());
        self.category.is_none_or(|category| category == device.category)
            && self.kind.as_ref().is_none_or(|kind| **kind == *device.facts.platform)
            && self.online.is_none_or(|online| online == at.is_some())
            && self.product.as_ref().is_none_or(product)
            && self.keys.as_ref().is_none_or(|keys| keys.contains(&device.key))
    }
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Continue after this device; `None` at the end of the list. A short or empty page need not be the last one.
    pub next: Option<DeviceId>,
}

impl Admin {
    /// Devices of a domain after `after`, sorted by number.
    pub async fn devices(
        &self,
        authority: &Authority,
        domain: &str,
        filter: &Filter,
        after: DeviceId,
        limit: usize,
    ) -> Result<(Arc<Domain>, Page<DeviceListing>)> {
        let domain = self.domain(authority, domain).await?;
        let page = self.scan(&domain.name, after, limit, |listing| filter.matches(&listing).then_some(listing)).await?;
        Ok((domain, page))
    }

    /// Scans the devices and collects what `pick` returns.
    pub(super) async fn scan<T>(
        &self,
        domain: &DomainName,
        mut after: DeviceId,
        limit: usize,
        pick: impl Fn(DeviceListing) -> Option<T>,
    ) -> Result<Page<T>> {
        let (mut items, mut looked_at) = (Vec::new(), 0);
        // Without a filter the limit can be passed to the store; with one, whole pages have to be read.
        let mut fetch = (limit + 1).min(MAX_PAGE);
        loop {
            let page = self.services.store.devices(domain, after, fetch).await?;
            let last_page = page.len() < std::mem::replace(&mut fetch, MAX_PAGE);
            looked_at += page.len();
            for listing in page {
                if items.len() == limit {
                    return Ok(Page { items, next: Some(after) });
                }
                after = listing.device.id;
                items.extend(pick(listing));
            }
            if last_page {
                return Ok(Page { items, next: None });
            }
            if looked_at >= SCAN_LIMIT {
                return Ok(Page { items, next: Some(after) });
            }
        }
    }

    /// A device of a domain, its presence, and its analogue ports.
    pub async fn device(
        &self,
        authority: &Authority,
        domain: &str,
        hw_id: &str,
    ) -> Result<(Arc<Domain>, DeviceListing, Vec<Box<str>>)> {
        let domain = self.domain(authority, domain).await?;
        let listing = self.listing(&domain.name, hw_id).await?;
        let ports = self.services.store.ports(&domain.name, &listing.device.key).await?.unwrap_or_default();
        Ok((domain, listing, ports))
    }

    pub(super) async fn listing(&self, domain: &DomainName, hw_id: &str) -> Result<DeviceListing> {
        let key = DeviceKey::parse(hw_id).map_err(|_| AdminError::NotFound("device"))?;
        let device = self.services.store.find_device(&key).await?.filter(|device| device.domain == *domain);
        let Some(device) = device else { return Err(AdminError::NotFound("device")) };
        let at = self.services.store.whereabouts(domain, &key).await?;
        Ok(DeviceListing { device, at })
    }

    /// Changes a device.
    pub async fn change_device(
        &self,
        authority: &Authority,
        domain: &str,
        hw_id: &str,
        change: DeviceChange<'_>,
    ) -> Result<()> {
        let domain = self.domain(authority, domain).await?;
        authority.own_domain(&domain.name)?;
        let DeviceChange { name, category, app_ip_path } = change;
        if name.is_some_and(|name| name.chars().count() > MAX_NAME || name.chars().any(|c| c.is_ascii_control())) {
            return Err(AdminError::invalid("name", "at most 128 characters, none of them a control character"));
        }
        let category = category.map(|id| has_category(&domain, id)).transpose()?;
        let app_ip = app_ip_path.map(read_app_ip).transpose()?;
        let DeviceListing { device, at } = self.listing(&domain.name, hw_id).await?;
        if matches!(app_ip, Some(Some(_))) && *device.facts.platform != *APP_PLATFORM {
            return Err(AdminError::unfit("appIpPath", "only devices of type APP_PLATFORM have an App IP"));
        }
        let (key, store) = (device.key, &self.services.store);
        let mut exists = true;
        let mut is_recorded = false;
        if let Some(category) = category {
            exists &= store.recategorise(&domain.name, &key, category).await?;
            if exists {
                self.record(authority, "device.change", key.as_str(), Some(&domain.name)).await;
                is_recorded = true;
            }
            // Other jobs may match in the new category.
            self.recheck(at).await;
        }
        if let Some(name) = name {
            exists &= store.rename(&domain.name, &key, Some(name).filter(|name| !name.is_empty())).await?;
            if exists && !is_recorded {
                self.record(authority, "device.change", key.as_str(), Some(&domain.name)).await;
            }
        }
        if let Some(app_ip) = &app_ip {
            exists &= store.set_app_ip(&domain.name, &key, app_ip.as_ref()).await?;
            if exists {
                self.record(authority, "device.app_ip", key.as_str(), Some(&domain.name)).await;
            }
        }
        if name.is_none() && category.is_none() && app_ip.is_none() {
            // Nothing was asked for, so there is nothing to record.
            authority.set_recorded();
        }
        self.device_changed(&domain.name, &key).await;
        if exists { Ok(()) } else { Err(AdminError::NotFound("device")) }
    }

    /// Removes a device from its domain. The device deletes the domain's settings and its connection is closed.
    pub async fn remove_device(&self, authority: &Authority, domain: &str, hw_id: &str) -> Result<()> {
        let domain = self.domain(authority, domain).await?;
        authority.own_domain(&domain.name)?;
        let DeviceListing { device, at } = self.listing(&domain.name, hw_id).await?;
        if !self.services.store.remove(&domain.name, &device.key).await? {
            return Err(AdminError::NotFound("device"));
        }
        tracing::info!(device = %device.key, domain = %domain.name, "device removed by an operator");
        self.record(authority, "device.remove", device.key.as_str(), Some(&domain.name)).await;
        self.note(&domain.name, &device.key, &TimelineEvent::Removed).await;
        self.device_left(device).await;
        self.recheck(at).await;
        Ok(())
    }

    /// Assigns an unassigned device to a domain. The device must be online to receive its password.
    pub async fn assign_device(
        &self,
        authority: &Authority,
        domain: &str,
        hw_id: &str,
        category: CategoryId,
    ) -> Result<(Arc<Domain>, Device)> {
        authority.instance_only()?;
        let domain = self.domain(authority, domain).await?;
        let category = has_category(&domain, category)?;
        let key = DeviceKey::parse(hw_id).map_err(|_| AdminError::NotFound("device"))?;
        if let Some(device) = self.services.store.find_device(&key).await? {
            return Err(AdminError::Conflict(belongs_to(&device)));
        }
        let unassigned_device = self.services.store.unassigned_device(&key).await?;
        let Some(UnassignedListing { device: UnassignedDevice { facts, .. }, at: Some(at) }) = unassigned_device else {
            return Err(AdminError::Conflict(
                "the device is not online; connect it, wait until it is in the list of unassigned devices, and try again"
                    .into(),
            ));
        };
        let Some(device) = self.services.registration.assign(&key, None, &domain.name, category, &facts).await? else {
            return Err(AdminError::Conflict("the device has just entered another domain; look it up again".into()));
        };
        self.record(authority, "device.assign", key.as_str(), Some(&domain.name)).await;
        self.note(&domain.name, &key, &TimelineEvent::Entered(Way::Manual)).await;
        self.recheck(Some(at)).await;
        self.device_changed(&domain.name, &key).await;
        Ok((domain, *device))
    }

    /// Unassigned devices after `after`, sorted by number.
    pub async fn unassigned(
        &self,
        authority: &Authority,
        after: DeviceId,
        limit: usize,
    ) -> Result<Page<UnassignedListing>> {
        authority.instance_only()?;
        let items = self.services.store.unassigned_devices(after, limit).await?;
        let next = items.last().filter(|_| items.len() == limit).map(|last| last.device.id);
        Ok(Page { items, next })
    }

    /// Tells clients that a device looks different now.
    pub(super) async fn device_changed(&self, domain: &DomainName, key: &DeviceKey) {
        if let Some(actor) = self.services.directory.find(domain).await {
            actor.do_send(MembershipBatch(vec![MembershipChange::Changed(key.clone())]));
        }
    }

    /// Tells clients that a device is not in its domain any more.
    pub(super) async fn device_left(&self, device: Device) {
        let seen = self.services.store.now().await.unwrap_or(device.entered);
        let Device { id, key, domain, facts, .. } = device;
        self.publish(&Signal::Gone { domain, device: Box::new(UnassignedDevice { id, key, facts, seen }) }).await;
    }

    /// Makes the connection of a device check its domain again.
    pub(super) async fn recheck(&self, at: Option<Whereabouts>) {
        if let Some(Whereabouts { node, conn }) = at {
            self.publish(&Signal::Recheck { node, conn }).await;
        }
    }

    /// Adds an event to the timeline of a device. Errors are only logged.
    pub(super) async fn note(&self, domain: &DomainName, key: &DeviceKey, event: &TimelineEvent) {
        if let Err(error) = self.services.store.append_step(domain, &[Subject::Device(key.clone())], event).await {
            tracing::debug!(%error, "timeline event not written");
        }
    }
}

/// Checks that the domain has the category.
pub(super) fn has_category(domain: &Domain, id: CategoryId) -> Result<CategoryId> {
    let found = domain.categories.iter().any(|category| category.id == id);
    if found { Ok(id) } else { Err(AdminError::unfit("category", "is not a category of the domain")) }
}

fn belongs_to(device: &Device) -> String {
    format!("the device belongs to {}; remove it there, or move it", device.domain)
}
