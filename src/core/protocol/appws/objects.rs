//! Devices and domains as JSON (`docs/protocol/devices-api.md` 1.3).

use serde::Serialize;

use crate::core::model::device::{Category, EthIf};
use crate::core::model::device_config::DeviceConfig;
use crate::core::model::device_view::{DeviceView, DomainView};
use crate::core::model::ids::{CategoryId, DeviceId, DomainId};
use crate::core::protocol::device_config;

/// The number of the domain of a device that has none; numbers of domains start with 1.
const UNASSIGNED: DomainId = DomainId(0);

/// A device as JSON. Its optional members depend on the message.
#[derive(Debug, Clone)]
pub struct DeviceObject<'a> {
    view: &'a DeviceView,
    uri: Option<String>,
}

impl DeviceView {
    /// As it goes on the wire, without passthrough address.
    pub const fn object(&self) -> DeviceObject<'_> {
        DeviceObject::new(self)
    }
}

impl<'a> DeviceObject<'a> {
    /// Without passthrough address, as in the messages about codes and in notices.
    pub const fn new(view: &'a DeviceView) -> Self {
        Self { view, uri: None }
    }

    /// With the passthrough address, if the device is connected and belongs to a domain.
    #[must_use]
    pub fn with_uri(mut self, address: impl FnOnce(&DeviceView) -> String) -> Self {
        self.uri = (self.view.online && self.view.domain.is_some()).then(|| address(self.view));
        self
    }

    /// The JSON text.
    pub fn text(&self) -> String {
        // Plain structures can always be serialized.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for DeviceObject<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Members<'a> {
            id: DeviceId,
            hw_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            name: Option<&'a str>,
            domain_id: DomainId,
            product: &'a str,
            version: &'a str,
            r#type: &'a str,
            pbx_active: bool,
            online: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            other: Option<bool>,
            #[serde(skip_serializing_if = "Option::is_none")]
            uri: Option<&'a str>,
            eth_ifs: &'a [EthIf],
            #[serde(skip_serializing_if = "Option::is_none")]
            category: Option<&'a str>,
        }
        let DeviceView { id, key, name, domain, category_name, online, facts, .. } = self.view;
        Members {
            id: *id,
            hw_id: key.as_str(),
            name: name.as_deref(),
            domain_id: domain.unwrap_or(UNASSIGNED),
            product: &facts.product,
            version: &facts.version,
            r#type: &facts.platform,
            pbx_active: facts.pbx_active,
            online: *online,
            other: facts.other.then_some(true),
            uri: self.uri.as_deref(),
            eth_ifs: &facts.eth_ifs,
            category: category_name.as_deref(),
        }
        .serialize(serializer)
    }
}

/// A device that was removed (`docs/protocol/devices-api.md` 4.6), as it was last sent to the client.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GoneDevice<'a> {
    /// Its number.
    pub id: DeviceId,
    /// Its key.
    pub hw_id: &'a str,
    /// Its domain; 0: none.
    pub domain_id: DomainId,
    /// Product name.
    pub product: &'a str,
    /// Version text.
    pub version: &'a str,
    /// Type of device.
    pub r#type: &'a str,
    /// Whether a telephone exchange ran on it.
    pub pbx_active: bool,
    /// Whether it was connected.
    pub online: bool,
    /// Its interfaces are not kept: the array is empty.
    pub eth_ifs: [EthIf; 0],
}

#[derive(Serialize)]
struct CategoryObject<'a> {
    id: CategoryId,
    #[serde(rename = "domainId", skip_serializing_if = "Option::is_none")]
    domain: Option<DomainId>,
    name: &'a str,
    config: bool,
}

/// A category as JSON, in a list of its own.
pub fn category(domain: DomainId, Category { id, name, provisioning }: &Category) -> String {
    let object = CategoryObject { id: *id, domain: Some(domain), name, config: *provisioning };
    serde_json::to_string(&object).unwrap_or_default()
}

/// A device configuration without its values as JSON (`docs/protocol/devices-api.md` 4.8).
pub fn listed_config(config: &DeviceConfig) -> String {
    // Without members it has no secrets.
    device_config::object(&device_config::members(config, |name, _| [(name, String::new()), (name, String::new())]))
}

/// A domain as JSON.
pub fn domain(view: &DomainView) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Members<'a> {
        id: DomainId,
        name: &'a str,
        has_rental_products: bool,
        deploy_admin_passwords: bool,
        is_instance_domain: bool,
        categories: Vec<CategoryObject<'a>>,
    }
    let DomainView { id, name, deploy_admin_passwords, is_instance_domain, categories, .. } = view;
    let members = Members {
        id: *id,
        name: name.as_str(),
        has_rental_products: false,
        deploy_admin_passwords: *deploy_admin_passwords,
        is_instance_domain: *is_instance_domain,
        categories: categories
            .iter()
            .map(|c| CategoryObject { id: c.id, domain: None, name: &c.name, config: c.provisioning })
            .collect(),
    };
    serde_json::to_string(&members).unwrap_or_default()
}
