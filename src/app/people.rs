//! The Users role out of the configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::upkeep::every;
use crate::actors::node::Node;
use crate::config::{BackendKind, Config, Role};
use crate::core::ids::DomainName;
use crate::core::people::{Pace, PhoneApp};
use crate::people::backend::{Backend, FileBackend, WebhookBackend, WebhookSettings};
use crate::people::{People, Settings, TenantSettings, trust_own, trust_roots};

/// Waits between attempts to reach Devices.
const RECONNECT: Pace = Pace { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

/// How often it is counted how many orders there are.
const FIGURES: Duration = Duration::from_secs(5);

/// Begins the Users role, if this process plays it.
pub(super) fn start(config: &Config, node: &Arc<Node>) -> anyhow::Result<Option<Arc<People>>> {
    if !config.plays(Role::Users) {
        return Ok(None);
    }
    let users = &config.users;
    let own = users.devices.is_empty();
    let tls = if own && config.tls.is_on() { trust_own(&config.tls.certificate) } else { trust_roots() };
    let settings = Settings {
        node: node.id.clone(),
        devices: if own { own_address(config) } else { users.devices.clone() }.into(),
        tls: tls.context("[users]")?,
        tenants: tenants(config),
        reconnect: RECONNECT,
        orders: Pace { first: users.order_again, longest: users.order_again_max },
        orders_at_once: users.orders_at_once,
        enter_timeout: users.order_timeout,
        looks_per_second: users.looks_per_second,
    };
    let names = settings.tenants.iter().map(|tenant| tenant.domain.clone()).collect();
    let people = People::start(&node.store, &backend(config, names)?, settings).context("[users]")?;
    let shown = Arc::downgrade(&people);
    every(FIGURES, node, move |_| {
        let people = shown.upgrade();
        async move {
            match people {
                Some(people) => people.show_figures().await,
                None => Ok(()),
            }
        }
    });
    Ok(Some(people))
}

fn tenants(config: &Config) -> Vec<TenantSettings> {
    if config.users.tenants.is_empty() {
        let all = config.domains.iter();
        all.map(|of| TenantSettings { domain: of.name.clone(), password: of.password.clone() }).collect()
    } else {
        let all = config.users.tenants.iter();
        all.map(|of| TenantSettings { domain: of.name.clone(), password: of.password.clone() }).collect()
    }
}

fn backend(config: &Config, tenants: Vec<DomainName>) -> anyhow::Result<Arc<dyn Backend>> {
    let users = &config.users;
    let app = |name: &String| PhoneApp { name: name.as_str().into(), title: name.as_str().into() };
    let apps: Vec<PhoneApp> = users.phone_apps.iter().map(app).collect();
    Ok(match users.backend {
        BackendKind::File => {
            Arc::new(FileBackend::new(users.file.users.clone(), users.file.phones.clone(), apps, tenants))
        }
        BackendKind::Webhook => {
            let settings = WebhookSettings {
                users: users.webhook.users.clone(),
                url: users.webhook.url.parse().context("users.webhook.url")?,
                secret: users.webhook.secret.clone(),
                timeout: users.webhook.timeout,
                apps,
                tenants,
            };
            Arc::new(WebhookBackend::new(settings).context("[users.webhook]")?)
        }
    })
}

/// The own public listener, reached from this machine.
fn own_address(config: &Config) -> String {
    let listen = config.server.listen;
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    let scheme = if config.tls.is_on() { "wss" } else { "ws" };
    format!("{scheme}://{}{}", SocketAddr::new(ip, listen.port()), config.instance_path())
}
