//! Devices and domains as clients see them, without anything secret.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::device::{Category, Device, Domain, Facts, UnassignedDevice};
use crate::core::model::ids::{CategoryId, DeviceId, DeviceKey, DomainId, DomainName};

/// A device as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    /// Its number.
    pub id: DeviceId,
    /// Its key.
    pub key: DeviceKey,
    /// The name that people see.
    pub name: Option<Box<str>>,
    /// Number of its domain; `None`: it belongs to none.
    pub domain: Option<DomainId>,
    /// Number of its category.
    pub category: Option<CategoryId>,
    /// Name of its category.
    pub category_name: Option<Box<str>>,
    /// Path of its App IP.
    pub app_ip: Option<AppIpPath>,
    /// Whether it is connected.
    pub online: bool,
    /// The facts of the device.
    pub facts: Facts,
}

impl DeviceView {
    /// A device of `domain`.
    pub fn member(device: Device, domain: &Domain, online: bool) -> Self {
        let category = domain.categories.iter().find(|c| c.id == device.category);
        Self {
            name: device.shown_name().map(Into::into),
            id: device.id,
            key: device.key,
            domain: Some(domain.id),
            category: Some(device.category),
            category_name: category.map(|c| c.name.clone()),
            app_ip: device.app_ip,
            online,
            facts: device.facts,
        }
    }

    /// An unassigned device.
    pub fn unassigned_device(device: UnassignedDevice, online: bool) -> Self {
        let UnassignedDevice { id, key, facts, .. } = device;
        let name = facts.name.clone();
        Self { name, id, key, domain: None, category: None, category_name: None, app_ip: None, online, facts }
    }
}

/// A domain as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainView {
    /// Its number.
    pub id: DomainId,
    /// Its name.
    pub name: DomainName,
    /// Devices are handed an administrative password.
    pub deploy_admin_passwords: bool,
    /// The service is installed in this domain.
    pub is_instance_domain: bool,
    /// Its categories.
    pub categories: Vec<Category>,
    /// Changes when one of its settings changes that is not in the members above: passwords, the token, the domains
    /// that have access.
    pub settings: u64,
}

impl DomainView {
    /// A domain; `instance` is the one that the service is installed in, `given_to` are the domains that have access.
    pub fn new(domain: &Domain, instance: &str, given_to: &[DomainId]) -> Self {
        let mut settings = DefaultHasher::new();
        for secret in [&domain.password, &domain.admin_password, &domain.auto_token] {
            secret.expose().hash(&mut settings);
        }
        given_to.hash(&mut settings);
        Self {
            settings: settings.finish(),
            id: domain.id,
            name: domain.name.clone(),
            deploy_admin_passwords: !domain.admin_password.is_empty(),
            is_instance_domain: domain.name.as_str() == instance,
            categories: domain.categories.clone(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Device number `id` of domain number `domain`, in category 4.
    pub(crate) fn view(id: u64, domain: u64, kind: &str) -> DeviceView {
        let facts =
            Facts { product: "IP112".into(), version: "13r3".into(), platform: kind.into(), ..Facts::default() };
        DeviceView {
            id: DeviceId(id),
            key: DeviceKey::parse(&format!("device-{id}")).unwrap(),
            name: None,
            domain: Some(DomainId(domain)),
            category: Some(CategoryId(4)),
            category_name: Some("Desk phones".into()),
            app_ip: None,
            online: true,
            facts,
        }
    }
}
