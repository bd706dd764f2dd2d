//! Checks whether the values of a configuration are usable and fit together.

use std::collections::BTreeSet;

use url::Url;

use super::pages::DEFAULT_ACCOUNT_PASSWORD;
use super::retired;
use super::sections::Config;
use super::values::{BackendKind, ProxyProtocol, Role, StoreUrl};
use crate::core::policy::hosts;
use crate::core::policy::proxies::{BadNetwork, TrustedProxies};
use crate::core::protocol::loopback::is_loopback;

mod oidc;
mod ranges;
mod users;

/// A key and what is wrong with its value.
type Problem = (String, String);

/// Normalizes values for comparison: no slash at the end of an address, hashes in lower case.
pub(super) fn normalize(config: &mut Config) {
    for url in [&mut config.server.public_url, &mut config.directory.url, &mut config.pages.device_url] {
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
    users::users(config)?;
    ranges::times(config)?;
    ranges::bounds(config)?;
    domains(config)?;
    accounts(config)?;
    delivered(config)?;
    oidc::oidc(config)?;
    if let Err(error) = config.log.filter.parse::<tracing_subscriber::EnvFilter>() {
        return wrong("log.filter", format!("is not a filter such as info or info,provbroker=debug: {error}"));
    }
    Ok(())
}

/// Warnings for values that are valid but unsafe or unlikely to work.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut lines: Vec<_> = retired::warnings(config).collect();
    let exposed = !config.server.listen.ip().is_loopback();
    if exposed && Url::parse(&config.server.public_url).is_ok_and(|url| is_loopback(&url)) {
        lines.push("server.public_url names this machine only; devices elsewhere cannot connect to it".into());
    }
    if exposed && config.server.public_url.starts_with("http:") {
        lines.push(
            "server.public_url is http: codes and passwords cross the network unprotected; set tls.certificate".into(),
        );
    }
    if !config.is_loopback_only()
        && config.accounts.iter().any(|account| account.password.expose() == DEFAULT_ACCOUNT_PASSWORD)
    {
        lines.push("accounts with the delivered password are not made: it works on loopback only; set your own".into());
    }
    lines.extend(proxy_warnings(config));
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
        lines.push("directory.open: anybody who reaches this directory can list an address in it".into());
    }
    let shared = matches!(config.store.url, StoreUrl::Redis(_));
    if exposed && shared && config.security.master_key.is_empty() {
        lines.push("security.master_key is empty: the key ring on Redis is sealed under the instance password".into());
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
        return wrong("server.ops_listen", "is the public listener's address; choose another port");
    }
    if !config.directory.url.is_empty() {
        base_address("directory.url", &config.directory.url)?;
    }
    proxies(config)?;
    device_pages(config)
}

fn device_pages(config: &Config) -> Result<(), Problem> {
    let (listen, url) = (config.pages.device_listen, &config.pages.device_url);
    if [config.server.listen, config.server.ops_listen].contains(&listen) && listen.port() != 0 {
        return wrong("pages.device_listen", "is another listener's address; choose another port");
    }
    if !config.tls.is_on() && !config.server.plain && !listen.ip().is_loopback() {
        return wrong(
            "pages.device_listen",
            "is not loopback, and plain HTTP; set tls.certificate, or server.plain = true",
        );
    }
    if url.is_empty() {
        if listen.ip().is_unspecified() {
            return wrong(
                "pages.device_url",
                "is empty, and pages.device_listen names no single address; set one of them",
            );
        }
        return Ok(());
    }
    base_address("pages.device_url", url)?;
    let origin = |text: &str| Url::parse(text).map(|url| url.origin());
    if Url::parse(url).is_ok_and(|url| url.path() != "/") {
        return wrong("pages.device_url", "has a path; give scheme, host and port only");
    }
    if origin(url) == origin(&config.server.public_url) {
        return wrong("pages.device_url", "is server.public_url; devices' own pages need another origin");
    }
    if config.server.public_url.starts_with("https:") && url.starts_with("http:") {
        return wrong("pages.device_url", "is http, but browsers show no http frame within an https page; use https");
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
        return wrong("instance.domain", "is the beginning of a path of the broker itself; choose another");
    }
    if instance.password.is_empty() {
        return wrong("instance.password", "is empty; set one");
    }
    Ok(())
}

/// Refuses delivered secrets where others than this machine reach the service.
fn delivered(config: &Config) -> Result<(), Problem> {
    match config.delivered_in_the_open() {
        Some((key, way_in)) => {
            wrong(&key, format!("is the delivered one, which works on loopback only, not with {way_in}; set your own"))
        }
        None => Ok(()),
    }
}

fn proxies(config: &Config) -> Result<(), Problem> {
    let server = &config.server;
    if let Err(bad) = trusted_proxies(config) {
        return wrong("server.trusted_proxies", bad.to_string());
    }
    if server.proxy_protocol == ProxyProtocol::Require && server.trusted_proxies.is_empty() {
        return wrong(
            "server.proxy_protocol",
            "is \"require\", but server.trusted_proxies is empty, so nobody could connect; name your proxies",
        );
    }
    if let Some(bad) = server.hosts.iter().find(|name| !hosts::is_host(name)) {
        return wrong(
            "server.hosts",
            format!("has `{bad}`, which is no host; write broker.example, 192.0.2.7 or [2001:db8::7], without a port"),
        );
    }
    Ok(())
}

/// The proxies that the configuration names.
pub(super) fn trusted_proxies(config: &Config) -> Result<TrustedProxies, BadNetwork> {
    TrustedProxies::new(config.server.trusted_proxies.iter().map(String::as_str))
}

fn proxy_warnings(config: &Config) -> Vec<String> {
    let (server, mut lines) = (&config.server, Vec::new());
    if server.proxy_protocol == ProxyProtocol::Accept && server.trusted_proxies.is_empty() {
        lines
            .push("server.proxy_protocol is \"accept\", but server.trusted_proxies is empty: no header is read".into());
    }
    if trusted_proxies(config).is_ok_and(|proxies| proxies.is_everybody()) {
        lines.push("server.trusted_proxies names everybody: any client can claim any address".into());
    }
    lines
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
        return wrong("server.plain", "asks for plain HTTP, but tls.certificate is set, too; remove one of them");
    }
    if tls.is_on() && server.public_url.starts_with("http:") {
        let problem =
            format!("is {}, but the listener speaks TLS; write https://HOST as devices know it", server.public_url);
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
            "is empty, and this process does not have the role directory; give an address or add the role",
        );
    }
    if own && !devices && directory.accept.is_empty() && directory.credential.is_empty() && !directory.open {
        return wrong(
            "directory.accept",
            "is empty, so no code could be issued; add a credential's hash, set directory.credential, or open = true",
        );
    }
    if directory.accept.iter().any(|hash| hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit())) {
        return wrong(
            "directory.accept",
            "takes SHA-256 hashes of 64 hex digits, not credentials; use printf %s … | sha256sum",
        );
    }
    if directory.credential.expose().chars().any(|c| !c.is_ascii_graphic()) {
        return wrong("directory.credential", "must be printable ASCII without blanks: it is sent in a header");
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
                    "has a name that is empty, longer than 128 characters or with control characters",
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
        if account.name.is_of_provider() {
            return wrong(&at("name"), "begins with oidc:, as the users of an OpenID provider do; choose another");
        }
        if let Some(fault) = account.identity().fault() {
            return wrong(&at("role"), format!("does not fit: {fault}"));
        }
    }
    Ok(())
}
