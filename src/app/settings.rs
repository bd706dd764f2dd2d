//! Converts the configuration to the settings of each part of the broker.

use std::sync::Arc;

use crate::admission::controller::AdmissionLimits;
use crate::attempts::AttemptRules;
use crate::config::Config;
use crate::connection::client_stream::ProxyRules;
use crate::connection::places::PlaceBounds;
use crate::connection::socket::Bounds;
use crate::connection::table::Capacity;
use crate::core::model::device::{Category, Domain};
use crate::core::model::quota::Quotas;
use crate::core::policy::jobs::retry::RetryPolicy;
use crate::core::protocol::frame_guard::DataKind;
use crate::core::protocol::sysclient::frame::TUNNEL_MAX;
use crate::core::session::app::event::Settings;
use crate::core::session::app::rights::Instance;
use crate::core::session::app::settling::SettleTimes;
use crate::core::session::device::event::Settings as PhoneSettings;
use crate::directory::DirectorySettings;
use crate::node::NodeSettings;
use crate::registration::CodeLimits;
use crate::store::{Limits, NewDomain, RecordCaps};
use crate::web::client_address::ListenerRules;

/// Longest message of an app, before and after its log-in, in bytes (`docs/protocol/appwebsocket.md` section 1).
const APP_LONGEST: (usize, usize) = (131_072, 1_048_576);

/// Release of Devices as announced to clients (`docs/protocol/devices-api.md` 4.1).
const RELEASE: &str = "13r3";

pub(super) fn domain(domain: &crate::config::Domain) -> NewDomain {
    NewDomain {
        name: domain.name.clone(),
        password: domain.password.clone(),
        admin_password: domain.admin_password.clone(),
        auto_token: domain.auto_token.clone(),
        categories: domain.categories.iter().map(|c| (c.name.as_str().into(), c.provisioning)).collect(),
    }
}

/// Refuses a category that would be made now with a name that has a comma; what is there is kept
/// (`docs/protocol/devices-api.md` 1.3).
pub(super) fn check_new_categories(configured: &crate::config::Domain, known: Option<&Domain>) -> anyhow::Result<()> {
    for category in &configured.categories {
        let name = category.name.as_str();
        let is_known = known.is_some_and(|domain| domain.category(name).is_some());
        anyhow::ensure!(
            is_known || Category::is_new_name(name),
            "domains[{}].categories: the new name `{name}` has a comma; filters separate names by commas",
            configured.name
        );
    }
    Ok(())
}

pub(super) fn proxies(config: &Config) -> ProxyRules {
    ProxyRules { trusted: Arc::new(config.trusted_proxies()), protocol: config.server.proxy_protocol }
}

/// Rules of the public listener.
pub(super) fn listener_rules(config: &Config, proxies: &ProxyRules) -> ListenerRules {
    ListenerRules {
        proxies: Arc::clone(&proxies.trusted),
        hosts: Arc::new(config.hosts()),
        delivered: config.has_delivered(),
        strict_transport: config.server.public_url.starts_with("https:"),
        own: None,
    }
}

pub(super) fn directory(config: &Config) -> DirectorySettings {
    DirectorySettings {
        ttl: config.codes.ttl,
        rollout_ttl: config.codes.rollout_ttl,
        credentials: config.accepted_credentials(),
        open: config.directory.open,
        allow_ws: config.directory.allow_ws,
        codes_per_second: config.directory.codes_per_second,
        max_open: config.directory.max_open,
    }
}

pub(super) fn codes(config: &Config) -> CodeLimits {
    CodeLimits {
        max_open: config.codes.max_open,
        max_open_rollout: config.codes.max_open_rollout,
        keep_unassigned: config.devices.keep_unassigned,
    }
}

/// What the store keeps at most.
pub(super) fn store_limits(config: &Config) -> Limits {
    let (devices, directory) = (&config.devices, &config.directory);
    Limits {
        unassigned: RecordCaps {
            most: devices.max_unassigned_records,
            per_source: devices.max_unassigned_records_per_address,
        },
        contacts: RecordCaps { most: directory.max_contacts, per_source: directory.max_contacts_per_address },
        quotas: quotas(config),
    }
}

pub(super) fn capacity(config: &Config) -> Capacity {
    Capacity {
        connections: config.server.max_connections,
        unproven_memory: config.server.unproven_memory / 2,
        unassigned_per_source: config.devices.max_unassigned_per_address,
        unassigned: config.devices.max_unassigned,
    }
}

pub(super) fn http_places(config: &Config) -> PlaceBounds {
    PlaceBounds { connections: config.server.max_http_connections, memory: config.server.unproven_memory / 2 }
}

pub(super) fn admission(config: &Config) -> AdmissionLimits {
    let admission = &config.admission;
    AdmissionLimits {
        registrations: admission.max_registrations,
        handshakes: admission.max_handshakes,
        waiting: admission.max_waiting,
        longest: admission.max_wait,
        target: admission.target,
        memory: admission.max_memory,
        reserve: admission.reserved_descriptors,
    }
}

fn instance(config: &Config) -> Instance {
    Instance {
        domain: config.instance.domain.clone(),
        name: config.instance.name.as_str().into(),
        password: config.instance.password.clone(),
    }
}

pub(super) fn attempt_rules(config: &Config) -> AttemptRules {
    let limits = &config.limits;
    AttemptRules::default().with(|_, rules| {
        (rules.window, rules.max_keys) = (limits.window, limits.max_tracked);
    })
}

pub(super) fn node(config: &Config) -> NodeSettings {
    let devices = &config.devices;
    let device_bounds = Bounds {
        speech: DataKind::Binary,
        longest: TUNNEL_MAX,
        window: devices.send_window,
        write_timeout: devices.write_timeout,
        linger: devices.close_wait,
    };
    NodeSettings {
        device: PhoneSettings {
            identify: devices.identify_timeout,
            challenged: devices.challenge_timeout,
            ping_every: devices.ping_every,
            dead_after: devices.dead_after,
            max_tunnels: devices.max_tunnels,
        },
        retry: RetryPolicy {
            restart_within: config.jobs.restart_within,
            update_again: config.jobs.update_again,
            config_again: config.jobs.config_again,
        },
        device_bounds,
        app: apps(config),
        instance: instance(config),
        app_bounds: Bounds {
            speech: DataKind::Text,
            longest: APP_LONGEST.1,
            window: config.apps.send_window,
            ..device_bounds
        },
        notice_window: config.apps.notice_window,
        notice_after: config.codes.notice_after,
    }
}

fn apps(config: &Config) -> Settings {
    Settings {
        domain: config.instance.domain.as_str().into(),
        instance: config.instance.name.as_str().into(),
        release: RELEASE.into(),
        passthrough: config.passthrough_url().into(),
        build_mark: build_mark(),
        login_timeout: config.apps.login_timeout,
        requests_per_second: config.apps.requests_per_second,
        fetches: config.apps.fetches,
        codes_per_second: config.codes.codes_per_second,
        announces_search: config.apps.search_page,
        ping_every: config.apps.ping_every,
        patience: SettleTimes { answer_within: config.apps.notice_timeout, stay_open: config.apps.notice_hold },
        longest_before: APP_LONGEST.0,
        longest_after: APP_LONGEST.1,
    }
}

/// The build mark of our pages: hex digits that differ for every version (`docs/protocol/appwebsocket.md` 7.1).
fn build_mark() -> Box<str> {
    let digits = |part: &str| part.parse::<u32>().unwrap_or_default();
    let mut parts = env!("CARGO_PKG_VERSION").split('.').map(digits);
    let mut next = || parts.next().unwrap_or_default();
    format!("{:02x}{:02x}{:02x}", next(), next(), next()).into()
}

/// How much a domain may have.
pub(super) fn quotas(config: &Config) -> Quotas {
    let quotas = &config.quotas;
    Quotas {
        devices: quotas.devices,
        categories: quotas.categories,
        jobs: quotas.jobs,
        codes_per_day: quotas.codes_per_day,
        rollouts: quotas.rollouts,
        rollout_rows: quotas.rollout_rows,
        accounts: quotas.accounts,
        offers: quotas.offers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ids::{CategoryId, DomainId, Secret};

    #[test]
    fn configured_categories_with_a_comma_are_kept_but_not_made() {
        let mut configured = Config::default().domains.remove(0);
        assert!(check_new_categories(&configured, None).is_ok());
        configured.categories[0].name = "Hall, left".into();
        assert!(check_new_categories(&configured, None).unwrap_err().to_string().contains("Hall, left"));
        let category = Category { id: CategoryId(4), name: "Hall, left".into(), provisioning: true };
        let known = Domain {
            id: DomainId(2),
            name: configured.name.clone(),
            password: Secret::default(),
            admin_password: Secret::default(),
            auto_token: Secret::default(),
            access_to: Vec::new(),
            revision: 0,
            categories: vec![category],
        };
        assert!(check_new_categories(&configured, Some(&known)).is_ok());
    }
}
