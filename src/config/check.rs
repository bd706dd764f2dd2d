//! Whether the values of a configuration are usable and fit together.

use std::collections::BTreeSet;
use std::time::Duration;

use url::Url;

use super::pages::DEFAULT_ACCOUNT_PASSWORD;
use super::sections::{Config, DEFAULT_DOMAIN_PASSWORD, DEFAULT_INSTANCE_PASSWORD};
use super::values::{BackendKind, Role};

/// Codes are not used again for this long (`directory.md` 3.1), so none may be valid for longer.
const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// Key and what is wrong with it.
type Problem = (String, String);

/// Brings values to the one form that the program compares: no slash at the end of an address, hashes in lower case.
pub(super) fn normalize(config: &mut Config) {
    for url in [&mut config.server.public_url, &mut config.directory.url] {
        url.truncate(url.trim_end_matches('/').len());
    }
    for hash in &mut config.directory.accept {
        hash.make_ascii_lowercase();
    }
}

/// Finds the first mistake.
pub(super) fn check(config: &Config) -> Result<(), Problem> {
    roles(config)?;
    addresses(config)?;
    instance(config)?;
    tls(config)?;
    directory(config)?;
    users(config)?;
    times(config)?;
    bounds(config)?;
    domains(config)?;
    accounts(config)?;
    if let Err(error) = config.log.filter.parse::<tracing_subscriber::EnvFilter>() {
        return wrong("log.filter", format!("is not a filter such as info or info,provbroker=debug: {error}"));
    }
    Ok(())
}

/// What works but should not stay so.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    let open = !config.server.listen.ip().is_loopback();
    if open && Url::parse(&config.server.public_url).is_ok_and(|url| is_loopback(&url)) {
        lines.push("server.public_url names this machine only; phones elsewhere cannot follow it".into());
    }
    if open && config.server.public_url.starts_with("http:") {
        lines.push(
            "server.public_url is http: codes and passwords cross the network unprotected; set tls.certificate".into(),
        );
    }
    if open && config.domains.iter().any(|domain| domain.password.expose() == DEFAULT_DOMAIN_PASSWORD) {
        lines.push("a domain has the delivered password; change it (in the store, too, if it was made already)".into());
    }
    if open && config.accounts.iter().any(|account| account.password.expose() == DEFAULT_ACCOUNT_PASSWORD) {
        lines
            .push("accounts with the delivered password are not made: it serves on loopback only; set your own".into());
    }
    if !config.server.ops_listen.ip().is_loopback() {
        lines.push("server.ops_listen is reachable from other machines and asks for no password".into());
    }
    if Url::parse(&config.directory.url).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url)) {
        lines.push("directory.url is http: the credential and every code cross the network unprotected".into());
    }
    let webhook = config.plays(Role::Users) && config.users.backend == BackendKind::Webhook;
    if webhook && Url::parse(&config.users.webhook.url).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url)) {
        lines.push("users.webhook.url is http: names and phones of people cross the network unprotected".into());
    }
    if config.directory.open && config.plays(Role::Directory) {
        lines.push("directory.open: whoever reaches this directory can list an address in it".into());
    }
    if open && config.security.master_key.is_empty() {
        lines.push("security.master_key is empty: the store is sealed with the instance password".into());
    }
    lines
}

fn wrong<T>(key: &str, problem: impl Into<String>) -> Result<T, Problem> {
    Err((key.to_owned(), problem.into()))
}

fn roles(config: &Config) -> Result<(), Problem> {
    if config.server.roles.is_empty() {
        return wrong("server.roles", "is empty; name directory, devices, users or several of them");
    }
    let node = &config.server.node;
    if node.len() > 64 || !node.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')) {
        return wrong("server.node", "may have up to 64 letters, digits, dots, hyphens and underscores");
    }
    Ok(())
}

fn addresses(config: &Config) -> Result<(), Problem> {
    let server = &config.server;
    base_address("server.public_url", &server.public_url)?;
    if Url::parse(&server.public_url).is_ok_and(|url| url.path() != "/") {
        return wrong("server.public_url", "has a path; give scheme, host and port only");
    }
    if server.listen == server.ops_listen && server.listen.port() != 0 {
        return wrong("server.ops_listen", "is the public listener too; choose another port");
    }
    if !config.directory.url.is_empty() {
        base_address("directory.url", &config.directory.url)?;
    }
    Ok(())
}

fn base_address(key: &str, text: &str) -> Result<(), Problem> {
    let Ok(url) = Url::parse(text) else {
        return wrong(key, "is not an address; write http://HOST:PORT or https://HOST");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong(key, "must begin with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return wrong(key, "must have no user, query or fragment; remove it");
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn instance(config: &Config) -> Result<(), Problem> {
    let instance = &config.instance;
    let name = &instance.name;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > 64 || name == "." || name == ".." || !name.chars().all(good) {
        return wrong("instance.name", "must be 1 to 64 letters, digits, dots, hyphens or underscores");
    }
    if name.chars().all(|c| c.is_ascii_hexdigit()) {
        return wrong("instance.name", "has hex digits only, so CheckBuild takes it for a build mark; choose another");
    }
    if ["api", "init"].contains(&instance.domain.as_str()) {
        return wrong("instance.domain", "is the beginning of an own path; choose another");
    }
    if instance.password.is_empty() {
        return wrong("instance.password", "is empty; set one");
    }
    let listeners = [config.server.listen, config.server.ops_listen];
    let open = listeners.into_iter().find(|listener| !listener.ip().is_loopback());
    if let Some(listener) = open.filter(|_| instance.password.expose() == DEFAULT_INSTANCE_PASSWORD) {
        return wrong(
            "instance.password",
            format!("is the delivered one, which serves on loopback only, not on {listener}; set your own"),
        );
    }
    Ok(())
}

fn tls(config: &Config) -> Result<(), Problem> {
    let (server, tls) = (&config.server, &config.tls);
    match (tls.is_on(), tls.key.as_os_str().is_empty()) {
        (true, true) => return wrong("tls.key", "is empty; name the PEM file with the key of tls.certificate"),
        (false, false) => {
            return wrong("tls.certificate", "is empty; name the PEM file with the certificate of tls.key");
        }
        _ => {}
    }
    if tls.is_on() && server.plain {
        return wrong("server.plain", "asks for plain HTTP, and there is a certificate too; remove one of them");
    }
    if tls.is_on() && server.public_url.starts_with("http:") {
        let problem =
            format!("is {}, but the listener speaks TLS; write https://HOST as phones know it", server.public_url);
        return wrong("server.public_url", problem);
    }
    if !tls.is_on() && !server.plain && !server.listen.ip().is_loopback() {
        let problem = format!(
            "is {}, which is not loopback, and plain HTTP; set tls.certificate and tls.key, or server.plain = true if TLS \
             ends in front of the broker",
            server.listen
        );
        return wrong("server.listen", problem);
    }
    Ok(())
}

fn directory(config: &Config) -> Result<(), Problem> {
    let directory = &config.directory;
    let (own, devices) = (config.plays(Role::Directory), config.plays(Role::Devices));
    if devices && !own && directory.url.is_empty() {
        return wrong(
            "directory.url",
            "is empty, and this process is no directory itself; give an address or add the role",
        );
    }
    if own && !devices && directory.accept.is_empty() && directory.credential.is_empty() && !directory.open {
        return wrong(
            "directory.accept",
            "is empty, so nobody could get a code; add a credential's hash, set directory.credential, or open = true",
        );
    }
    if directory.accept.iter().any(|hash| hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit())) {
        return wrong(
            "directory.accept",
            "takes SHA-256 hashes of 64 hex digits, not credentials; use printf %s … | sha256sum",
        );
    }
    if directory.credential.expose().chars().any(|c| !c.is_ascii_graphic()) {
        return wrong("directory.credential", "must be printable ASCII without blanks: it goes into a header");
    }
    Ok(())
}

fn users(config: &Config) -> Result<(), Problem> {
    let users = &config.users;
    if !config.plays(Role::Users) {
        return Ok(());
    }
    if users.devices.is_empty() && !config.plays(Role::Devices) {
        return wrong(
            "users.devices",
            "is empty, and this process is no Devices itself; give an address or add the role",
        );
    }
    if !users.devices.is_empty()
        && !Url::parse(&users.devices).is_ok_and(|url| matches!(url.scheme(), "ws" | "wss") && url.has_host())
    {
        return wrong("users.devices", "is not an address; write wss://HOST/DOMAIN/INSTANCE");
    }
    if users.phone_apps.is_empty() || users.phone_apps.iter().any(|app| app.trim().is_empty()) {
        return wrong("users.phone_apps", "must name at least one phone app, and none without a name");
    }
    let mut names = BTreeSet::new();
    for tenant in &users.tenants {
        if !names.insert(&tenant.name) {
            return wrong("users.tenants", format!("has {} twice (case does not count); remove one", tenant.name));
        }
        if tenant.password.is_empty() {
            return wrong(&format!("users.tenants[{}].password", tenant.name), "is empty; set that of its domain");
        }
    }
    if users.backend == BackendKind::Webhook {
        if !Url::parse(&users.webhook.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            return wrong("users.webhook.url", "is not an address; write https://HOST/PATH");
        }
        if users.webhook.secret.expose().len() < 16 {
            return wrong(
                "users.webhook.secret",
                "is shorter than 16 bytes, so signatures could be guessed; set a longer one",
            );
        }
    }
    Ok(())
}

fn times(config: &Config) -> Result<(), Problem> {
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
        // Longer, and a device that waits would be taken for a silent one.
        ("admission.max_wait", config.admission.max_wait, second, Duration::from_secs(60)),
        ("apps.login_timeout", apps.login_timeout, second, day),
        ("apps.notice_timeout", apps.notice_timeout, second, day),
        ("apps.notice_hold", apps.notice_hold, Duration::ZERO, Duration::from_secs(3600)),
        ("users.order_timeout", config.users.order_timeout, second, Duration::from_secs(600)),
        ("users.order_again", config.users.order_again, Duration::from_millis(10), day),
        ("users.order_again_max", config.users.order_again_max, Duration::from_millis(10), day),
        ("users.webhook.timeout", config.users.webhook.timeout, second, config.users.order_timeout.max(second)),
        ("limits.window", limits.window, second, day),
        ("limits.login_pause", limits.login_pause, second, day),
        ("limits.init_delay", limits.init_delay, Duration::ZERO, Duration::from_secs(60)),
        ("pages.session_idle", config.pages.session_idle, Duration::from_secs(60), 30 * day),
        ("pages.session_max", config.pages.session_max, Duration::from_secs(60), 30 * day),
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
        return wrong("devices.dead_after", "must be longer than devices.ping_every, or every idle device is cut");
    }
    Ok(())
}

fn bounds(config: &Config) -> Result<(), Problem> {
    let (codes, devices, apps, limits) = (&config.codes, &config.devices, &config.apps, &config.limits);
    let positive = [
        ("server.max_connections", config.server.max_connections == 0),
        ("codes.max_open", codes.max_open == 0),
        ("codes.max_open_rollout", codes.max_open_rollout == 0),
        ("codes.codes_per_second", codes.codes_per_second == 0),
        ("directory.codes_per_second", config.directory.codes_per_second == 0),
        ("directory.max_open", config.directory.max_open == 0),
        ("devices.max_tunnels", devices.max_tunnels == 0),
        ("devices.max_unassigned", devices.max_unassigned == 0),
        ("devices.max_unassigned_per_address", devices.max_unassigned_per_address == 0),
        ("admission.max_registrations", config.admission.max_registrations == 0),
        ("admission.max_handshakes", config.admission.max_handshakes == 0),
        ("admission.max_waiting", config.admission.max_waiting == 0),
        ("apps.requests_per_second", apps.requests_per_second == 0),
        ("apps.notice_window", apps.notice_window == 0),
        ("users.orders_at_once", config.users.orders_at_once == 0),
        ("users.looks_per_second", config.users.looks_per_second == 0),
        ("limits.device_digests", limits.device_digests == 0),
        ("limits.device_codes", limits.device_codes == 0),
        ("limits.address", limits.address == 0),
        ("limits.logins", limits.logins == 0),
        ("limits.init_mac", limits.init_mac == 0),
        ("limits.init_address", limits.init_address == 0),
        ("limits.init_per_minute", limits.init_per_minute == 0),
        ("limits.max_tracked", limits.max_tracked == 0),
        ("pages.attempts", config.pages.attempts == 0),
        ("lifecycle.drain_per_second", config.lifecycle.drain_per_second == 0),
    ];
    if let Some((key, _)) = positive.iter().find(|(_, zero)| *zero) {
        return wrong(key, "is 0, which would let nothing pass; give a number from 1 on");
    }
    if config.server.workers > 1024 {
        return wrong("server.workers", "is more than 1024; 0 means one per core");
    }
    for (key, window) in [("devices.send_window", devices.send_window), ("apps.send_window", apps.send_window)] {
        // The smallest one still has room for any challenge or provisioning message.
        if !(4096..=16_777_216).contains(&window) {
            return wrong(key, "must be 4096 to 16777216 bytes");
        }
    }
    if config.store.cache < 1 << 20 {
        return wrong("store.cache", "is too little to work with; give 1048576 bytes or more");
    }
    Ok(())
}

fn domains(config: &Config) -> Result<(), Problem> {
    let mut names = BTreeSet::new();
    for domain in &config.domains {
        let at = |key: &str| format!("domains[{}].{key}", domain.name);
        if !names.insert(&domain.name) {
            return wrong("domains", format!("has {} twice (case does not count); remove one", domain.name));
        }
        if domain.password.is_empty() {
            return wrong(&at("password"), "is empty; set one");
        }
        let mut categories = BTreeSet::new();
        for category in &domain.categories {
            let name = category.name.as_str();
            if name.trim().is_empty() || name.chars().count() > 128 || name.chars().any(char::is_control) {
                return wrong(
                    &at("categories"),
                    "has a name that is empty, longer than 128 or with control characters",
                );
            }
            if !categories.insert(name) {
                return wrong(&at("categories"), format!("has `{name}` twice; remove one"));
            }
        }
    }
    Ok(())
}

fn accounts(config: &Config) -> Result<(), Problem> {
    let mut names = BTreeSet::new();
    for account in &config.accounts {
        let at = |key: &str| format!("accounts[{}].{key}", account.name);
        if !names.insert(&account.name) {
            return wrong("accounts", format!("has {} twice (case does not count); remove one", account.name));
        }
        if account.password.is_empty() {
            return wrong(&at("password"), "is empty; set one");
        }
        if let Some(fault) = account.identity().fault() {
            return wrong(&at("role"), format!("does not fit: {fault}"));
        }
    }
    Ok(())
}
