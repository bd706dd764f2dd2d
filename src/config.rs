//! Reads and checks the configuration. The environment overrides the file, the command line overrides both.
//!
//! Every error is one line with its place, what is wrong and what to do; it never repeats a secret. This module opens
//! no file but the configuration file. The keys are explained in `config/provbroker.toml`.

mod check;
mod delivered;
mod environment;
mod pages;
mod retired;
mod section;
mod sections;
mod source;
mod values;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use url::Url;

pub use self::delivered::is_delivered;
pub use self::pages::{Account, DEFAULT_ACCOUNT_PASSWORD, Oidc, Pages};
pub use self::sections::{
    Admission, Apps, Category, Codes, Config, DEFAULT_DOMAIN_PASSWORD, DEFAULT_INSTANCE_PASSWORD, Devices, Directory,
    Domain, Instance, Jobs, Lifecycle, Limits, Log, Pbx, Security, Server, Store, Tenant, Tls, Users, UsersFile,
    UsersPbx, UsersWebhook,
};
pub use self::values::{BackendKind, LogFormat, ProxyProtocol, Role, StoreUrl, TlsVersion};
use crate::core::policy::hosts::Hosts;
use crate::core::policy::proxies::TrustedProxies;
use crate::core::protocol::sysclient::auth::sha256_hex;

/// The file that is read when none is named, if it is there.
pub const DEFAULT_FILE: &str = "config/provbroker.toml";

/// The configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    place: String,
    problem: String,
}

impl ConfigError {
    fn new(place: impl Into<String>, problem: impl fmt::Display) -> Self {
        // Messages of libraries may have several lines.
        let problem = problem.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { place: place.into(), problem }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// Options of the command line that override file and environment.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--store`
    pub store: Option<String>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--ops-listen`
    pub ops_listen: Option<String>,
}

/// Reads and checks the configuration of this process.
///
/// A named file must exist. Without a name, [`DEFAULT_FILE`] is read if it exists, else the built-in defaults apply.
pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    let default = Path::new(DEFAULT_FILE);
    let file = file.or_else(|| default.is_file().then_some(default));
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    // A value that is not UTF-8 matters only if the variable is ours.
    let ours: Vec<(String, String)> = variables
        .filter(|(name, _)| name.starts_with(environment::PREFIX))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(ConfigError::new(name, "is not UTF-8 text; set it again")),
        })
        .collect::<Result<_, _>>()?;
    assemble(file, &ours, overrides)
}

/// As [`load`], with the environment as an argument: pairs of name and value.
pub fn assemble(
    file: Option<&Path>,
    environment: &[(String, String)],
    overrides: &Overrides,
) -> Result<Config, ConfigError> {
    let (mut config, place) = match file {
        Some(path) => {
            let place = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|e| ConfigError::new(&place, format_args!("cannot be read ({e}); name another file")))?;
            (source::parse(&text, &place)?, place)
        }
        None => (Config::default(), "built-in defaults".into()),
    };
    let (listen, public_url) = (config.server.listen, config.server.public_url.clone());
    config = environment::overlay(config, environment)?;
    override_from(&mut config, overrides)?;
    check::normalize(&mut config);
    if config.server.public_url == public_url {
        let to = std::mem::replace(&mut config.server.listen, listen);
        config.move_listener(to);
    }
    config.follow_scheme();
    check::check(&config).map_err(|(key, problem)| {
        ConfigError::new(origin_of(&key, &place, environment, overrides), format_args!("{key} {problem}"))
    })?;
    Ok(config)
}

/// Reads and checks the text of a file, without environment and command line. `place` is the file's name in error
/// lines.
pub fn parse(text: &str, place: &str) -> Result<Config, ConfigError> {
    let mut config = source::parse(text, place)?;
    check::normalize(&mut config);
    config.follow_scheme();
    check::check(&config).map_err(|(key, problem)| ConfigError::new(place, format_args!("{key} {problem}")))?;
    Ok(config)
}

fn override_from(config: &mut Config, overrides: &Overrides) -> Result<(), ConfigError> {
    let listener = |flag: &str, text: &String| {
        text.parse::<SocketAddr>().map_err(|_| {
            ConfigError::new(flag, "is not an address to listen on; write IP:PORT, such as 127.0.0.1:8080")
        })
    };
    if let Some(text) = &overrides.store {
        config.store.url = text.parse().map_err(|e: String| ConfigError::new("--store", e))?;
    }
    if let Some(text) = &overrides.listen {
        config.server.listen = listener("--listen", text)?;
    }
    if let Some(text) = &overrides.ops_listen {
        config.server.ops_listen = listener("--ops-listen", text)?;
    }
    Ok(())
}

/// Where the value of `key` came from: the last of file, environment and command line that set it.
fn origin_of(key: &str, file: &str, environment: &[(String, String)], overrides: &Overrides) -> String {
    let flag = match key {
        "server.listen" if overrides.listen.is_some() => Some("--listen"),
        "server.ops_listen" if overrides.ops_listen.is_some() => Some("--ops-listen"),
        "store.url" if overrides.store.is_some() => Some("--store"),
        _ => None,
    };
    let variable = environment::name_of(key);
    flag.map(str::to_owned)
        .or_else(|| environment.iter().find(|(name, _)| *name == variable).map(|(name, _)| name.clone()))
        .unwrap_or_else(|| file.to_owned())
}

impl Tls {
    /// Whether the public listener speaks TLS.
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}

impl Config {
    /// Whether this process plays `role`.
    pub fn plays(&self, role: Role) -> bool {
        self.server.roles.contains(&role)
    }

    /// Moves the public listener, for instance to the port that the system chose for port 0. A public address that
    /// named the old listener changes with it; one that names a proxy stays.
    pub fn move_listener(&mut self, to: SocketAddr) {
        let old = self.server.listen;
        let scheme = ["http", "https"].into_iter().find(|scheme| self.server.public_url == format!("{scheme}://{old}"));
        if let Some(scheme) = scheme.filter(|_| !to.ip().is_unspecified()) {
            self.server.public_url = format!("{scheme}://{to}");
        }
        self.server.listen = to;
    }

    /// Makes a public address that names the listener itself `https` if there is a certificate.
    fn follow_scheme(&mut self) {
        let listen = self.server.listen;
        if self.tls.is_on() && self.server.public_url == format!("http://{listen}") {
            self.server.public_url = format!("https://{listen}");
        }
    }

    /// Path below which all addresses of the instance are, percent-encoded: `/example.com/devices`.
    pub fn instance_path(&self) -> String {
        self.public(&[]).path().to_owned()
    }

    /// The proxies that may name their clients.
    pub fn trusted_proxies(&self) -> TrustedProxies {
        // The list was checked when the configuration was read.
        check::trusted_proxies(self).unwrap_or_default()
    }

    /// The names by which pages and REST may be addressed.
    pub fn hosts(&self) -> Hosts {
        let server = &self.server;
        let loopback = server.listen.ip().to_canonical().is_loopback();
        Hosts::new(&server.public_url, server.hosts.iter().map(String::as_str), loopback)
    }

    /// Address that devices connect to: `ws(s)://HOST/DOMAIN/INSTANCE/sysclients`.
    pub fn sysclients_url(&self) -> String {
        let url = self.public(&["sysclients"]).to_string();
        // http becomes ws, https becomes wss.
        url.replacen("http", "ws", 1)
    }

    /// Where passthrough addresses begin: `http(s)://HOST/DOMAIN/INSTANCE/passthrough/`.
    pub fn passthrough_url(&self) -> String {
        format!("{}/", self.public(&["passthrough"]))
    }

    /// SHA-256 (hex) of every credential that the directory of this process accepts.
    pub fn accepted_credentials(&self) -> Vec<String> {
        let own = Some(&self.directory.credential)
            .filter(|own| !own.is_empty())
            .map(|own| sha256_hex(own.expose().as_bytes()));
        self.directory.accept.iter().cloned().chain(own).collect()
    }

    /// Warnings for values that are valid but unsafe or unlikely to work.
    pub fn warnings(&self) -> Vec<String> {
        check::warnings(self)
    }

    /// Summary that `check-config` prints, without secrets.
    pub fn summary(&self) -> String {
        let roles =
            self.server.roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect::<Vec<_>>().join(", ");
        let domains = self.domains.iter().map(|domain| domain.name.as_str()).collect::<Vec<_>>().join(", ");
        let (server, store) = (&self.server, self.store.url.describe());
        let scheme = if self.tls.is_on() { "TLS" } else { "plain HTTP" };
        format!(
            "roles {roles}; listen {} ({scheme}), ops {}, public {}; store {store}; instance {}; domains {}",
            server.listen,
            server.ops_listen,
            server.public_url,
            self.instance_path(),
            if domains.is_empty() { "none" } else { &domains },
        )
    }

    fn public(&self, more: &[&str]) -> Url {
        // The address was checked when the configuration was read; only a configuration put together in code can fail.
        #[allow(clippy::expect_used)]
        let mut url = Url::parse(&self.server.public_url).expect("server.public_url is an http address");
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(self.instance.domain.as_str()).push(&self.instance.name).extend(more);
        }
        url
    }
}
