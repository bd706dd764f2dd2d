//! Checks the ranges of times and sizes.

use std::time::Duration;

use super::{Problem, wrong};
use crate::config::Config;

/// Longest validity of a code: a code is not issued again for this long (`docs/protocol/directory.md` 3.1).
const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) fn times(config: &Config) -> Result<(), Problem> {
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
    let (codes, devices, apps, limits) = (&config.codes, &config.devices, &config.apps, &config.limits);
    let ranges = [
        ("tls.ticket_lifetime", config.tls.ticket_lifetime, Duration::from_secs(600), 7 * day),
        ("tls.handshake_timeout", config.tls.handshake_timeout, second, Duration::from_secs(60)),
        ("store.deadline", config.store.deadline, Duration::from_millis(10), Duration::from_secs(60)),
        ("codes.ttl", codes.ttl, second, MAX_TTL),
        ("codes.rollout_ttl", codes.rollout_ttl, second, MAX_TTL),
        ("codes.notice_after", codes.notice_after, second, day),
        ("jobs.restart_within", config.jobs.restart_within, second, day),
        ("jobs.update_again", config.jobs.update_again, second, day),
        ("jobs.config_again", config.jobs.config_again, second, day),
        ("directory.timeout", config.directory.timeout, second, Duration::from_secs(60)),
        ("devices.identify_timeout", devices.identify_timeout, second, day),
        ("devices.challenge_timeout", devices.challenge_timeout, second, day),
        ("devices.ping_every", devices.ping_every, second, day),
        ("devices.dead_after", devices.dead_after, second, day),
        ("devices.keep_unassigned", devices.keep_unassigned, second, MAX_TTL),
        ("devices.write_timeout", devices.write_timeout, second, day),
        ("devices.close_wait", devices.close_wait, Duration::ZERO, Duration::from_secs(60)),
        ("admission.target", config.admission.target, Duration::from_millis(10), Duration::from_secs(60)),
        // A device that waits longer would be closed as silent.
        ("admission.max_wait", config.admission.max_wait, second, Duration::from_secs(60)),
        ("apps.login_timeout", apps.login_timeout, second, day),
        ("apps.ping_every", apps.ping_every, Duration::ZERO, day),
        ("apps.notice_timeout", apps.notice_timeout, second, day),
        ("apps.notice_hold", apps.notice_hold, Duration::ZERO, Duration::from_secs(3600)),
        ("users.order_timeout", config.users.order_timeout, second, Duration::from_secs(600)),
        ("users.order_again", config.users.order_again, Duration::from_millis(10), day),
        ("users.order_again_max", config.users.order_again_max, Duration::from_millis(10), day),
        ("users.webhook.timeout", config.users.webhook.timeout, second, config.users.order_timeout.max(second)),
        ("limits.window", limits.window, second, day),
        ("pages.session_idle", config.pages.session_idle, Duration::from_secs(60), 30 * day),
        ("pages.session_max", config.pages.session_max, Duration::from_secs(60), 30 * day),
        ("pages.oidc.timeout", config.pages.oidc.timeout, second, Duration::from_secs(60)),
        ("pages.device_open", config.pages.device_open, second, Duration::from_secs(3600)),
        ("lifecycle.drain_wait", config.lifecycle.drain_wait, Duration::ZERO, Duration::from_secs(300)),
        ("lifecycle.drain_max", config.lifecycle.drain_max, Duration::ZERO, Duration::from_secs(3600)),
    ];
    for (key, value, least, most) in ranges {
        if value < least || value > most {
            let text = humantime::format_duration;
            return wrong(key, format!("is {}; it must be {} to {}", text(value), text(least), text(most)));
        }
    }
    if devices.dead_after <= devices.ping_every {
        return wrong("devices.dead_after", "must be longer than devices.ping_every, or every idle device is closed");
    }
    Ok(())
}

pub(super) fn bounds(config: &Config) -> Result<(), Problem> {
    let (codes, devices, apps, limits) = (&config.codes, &config.devices, &config.apps, &config.limits);
    let positive = [
        ("server.max_connections", config.server.max_connections == 0),
        ("server.max_http_connections", config.server.max_http_connections == 0),
        ("codes.max_open", codes.max_open == 0),
        ("codes.max_open_rollout", codes.max_open_rollout == 0),
        ("codes.codes_per_second", codes.codes_per_second == 0),
        ("directory.codes_per_second", config.directory.codes_per_second == 0),
        ("directory.max_open", config.directory.max_open == 0),
        ("devices.max_tunnels", devices.max_tunnels == 0),
        ("devices.max_unassigned", devices.max_unassigned == 0),
        ("devices.max_unassigned_records", devices.max_unassigned_records == 0),
        ("devices.max_unassigned_records_per_address", devices.max_unassigned_records_per_address == 0),
        ("directory.max_contacts", config.directory.max_contacts == 0),
        ("directory.max_contacts_per_address", config.directory.max_contacts_per_address == 0),
        ("devices.max_unassigned_per_address", devices.max_unassigned_per_address == 0),
        ("admission.max_registrations", config.admission.max_registrations == 0),
        ("admission.max_handshakes", config.admission.max_handshakes == 0),
        ("admission.max_waiting", config.admission.max_waiting == 0),
        ("apps.requests_per_second", apps.requests_per_second == 0),
        ("apps.notice_window", apps.notice_window == 0),
        ("users.orders_at_once", config.users.orders_at_once == 0),
        ("users.looks_per_second", config.users.looks_per_second == 0),
        ("users.pbx.updates_per_second", config.users.pbx.updates_per_second == 0),
        ("users.pbx.requests_per_second", config.users.pbx.requests_per_second == 0),
        ("limits.max_tracked", limits.max_tracked == 0),
        ("pages.questions_per_person", config.pages.questions_per_person == 0),
        ("lifecycle.drain_per_second", config.lifecycle.drain_per_second == 0),
    ];
    if let Some((key, _)) = positive.iter().find(|(_, zero)| *zero) {
        return wrong(key, "is 0, which would refuse everything; set 1 or more");
    }
    if config.server.unproven_memory < 4_194_304 {
        return wrong("server.unproven_memory", "must be 4194304 bytes or more, or long messages would not fit");
    }
    if config.server.workers > 1024 {
        return wrong("server.workers", "is more than 1024; 0 means one per core");
    }
    for (key, window) in [("devices.send_window", devices.send_window), ("apps.send_window", apps.send_window)] {
        // The smallest window still has room for any challenge or provisioning message.
        if !(4096..=16_777_216).contains(&window) {
            return wrong(key, "must be 4096 to 16777216 bytes");
        }
    }
    if config.store.cache < 1 << 20 {
        return wrong("store.cache", "is too small; set 1048576 bytes or more");
    }
    Ok(())
}
