//! Starts the Users role and its backend as configured.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::app::own_listener::OwnListener;
use crate::app::periodic::every;
use crate::config::{BackendKind, Config, Pbx, Role};
use crate::core::model::hex;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::model::users_role::PhoneApp;
use crate::core::policy::backoff::{Backoff, Spread};
use crate::core::session::exchange::inbound::InboundSettings;
use crate::core::session::exchange::settings as traffic;
use crate::lifecycle::Shutdown;
use crate::node::Node;
use crate::users_role::backend::exchange::{Dial, ExchangeBackend, ExchangeSettings, Trust};
use crate::users_role::backend::{Backend, FileBackend, WebhookBackend, WebhookSettings};
use crate::users_role::{Settings, TenantSettings, UsersRole, trust_roots};

/// Delays between attempts to connect to Devices.
const RECONNECT: Backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(30), Spread::Shorter(2));

/// How often the entry orders are counted for the metrics.
const FIGURES: Duration = Duration::from_secs(5);

/// Starts the Users role, if this process has it.
pub(super) fn start(
    config: &Config,
    node: &Arc<Node>,
    pbx: Option<Arc<ExchangeBackend>>,
    own: Option<&OwnListener>,
) -> anyhow::Result<Option<Arc<UsersRole>>> {
    if !config.plays(Role::Users) {
        return Ok(None);
    }
    let users = &config.users;
    let settings = Settings {
        node: node.id().clone(),
        devices: own.map_or_else(|| users.devices.clone(), |own| own.devices(config)).into(),
        tls: trust_roots().context("[users]")?,
        own: own.map(|own| own.token.clone()),
        tenants: tenants(config),
        reconnect: RECONNECT,
        orders: Backoff::doubling(users.order_again, users.order_again_max, Spread::Shorter(2)),
        orders_at_once: users.orders_at_once,
        enter_timeout: users.order_timeout,
        polls_per_second: users.looks_per_second,
    };
    let names = settings.tenants.iter().map(|tenant| tenant.domain.clone()).collect();
    let users_role = UsersRole::start(node.store(), &backend(config, names, pbx)?, settings).context("[users]")?;
    let weak = Arc::downgrade(&users_role);
    every("figures of the Users role", FIGURES, node, move |_| {
        let users_role = weak.upgrade();
        async move {
            match users_role {
                Some(users_role) => users_role.update_gauges().await,
                None => Ok(()),
            }
        }
    });
    Ok(Some(users_role))
}

fn tenants(config: &Config) -> Vec<TenantSettings> {
    let tenant =
        |name: &DomainName, password: &Secret| TenantSettings { domain: name.clone(), password: password.clone() };
    let named = &config.users.tenants;
    if named.is_empty() {
        config.domains.iter().map(|domain| tenant(&domain.name, &domain.password)).collect()
    } else {
        named.iter().map(|entry| tenant(&entry.name, &entry.password)).collect()
    }
}

fn backend(
    config: &Config,
    tenants: Vec<DomainName>,
    pbx: Option<Arc<ExchangeBackend>>,
) -> anyhow::Result<Arc<dyn Backend>> {
    if let Some(pbx) = pbx {
        return Ok(pbx);
    }
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
        BackendKind::Pbx => anyhow::bail!("the PBX backend has not been started"),
    })
}

/// Starts the backend `pbx`, if it is configured.
pub(super) fn exchanges(
    config: &Config,
    node: &Arc<Node>,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<Arc<ExchangeBackend>>> {
    if !config.plays(Role::Users) || config.users.backend != BackendKind::Pbx {
        return Ok(None);
    }
    let pbx = &config.users.pbx;
    let all: Vec<ExchangeSettings> =
        pbx.exchanges.iter().map(|exchange| exchange_settings(config, exchange)).collect::<anyhow::Result<_>>()?;
    let password =
        |exchange_settings: &ExchangeSettings| (exchange_settings.system.clone(), exchange_settings.password.clone());
    let inbound = InboundSettings {
        domain: node.apps().instance.domain.as_str().into(),
        instance: pbx.instance.as_str().into(),
        build: node.apps().session.build_mark.clone(),
        passwords: all.iter().filter(|exchange_settings| exchange_settings.dial.is_none()).map(password).collect(),
        check_names: pbx.check_names,
    };
    Ok(Some(Arc::new(ExchangeBackend::start(all, inbound, node.store(), shutdown))))
}

fn exchange_settings(config: &Config, exchange: &Pbx) -> anyhow::Result<ExchangeSettings> {
    let pbx = &config.users.pbx;
    let key = || format!("users.pbx.exchanges[{}]", exchange.domain);
    let trust = if !exchange.fingerprint.is_empty() {
        let bytes = hex::decode(exchange.fingerprint.replace(':', "")).unwrap_or_default();
        Trust::Fingerprint(bytes.try_into().ok().with_context(key)?)
    } else if exchange.authority.as_os_str().is_empty() {
        Trust::Public
    } else {
        let file = CertificateDer::pem_file_iter(&exchange.authority).with_context(key)?;
        Trust::Authorities(file.collect::<Result<_, _>>().with_context(key)?)
    };
    Ok(ExchangeSettings {
        domain: exchange.domain.clone(),
        system: if exchange.system.is_empty() { exchange.domain.as_str() } else { &exchange.system }.into(),
        pbx: exchange.pbx.as_str().into(),
        object: exchange.object.as_str().into(),
        password: exchange.password.clone(),
        dial: (!exchange.url.is_empty()).then(|| Dial { url: exchange.url.clone(), trust }),
        traffic: traffic::Settings {
            phone_apps: config.users.phone_apps.iter().map(|app| app.as_str().into()).collect(),
            flags: pbx.flags.clone(),
            conflict: pbx.conflict,
            updates_per_second: pbx.updates_per_second,
            requests_per_second: pbx.requests_per_second,
            ..traffic::Settings::default()
        },
    })
}
