//! Delivered secrets: those that stand in the files of this project, so that everybody knows them.
//!
//! They open something only where nobody else can come: listeners, public address and all names on loopback, and no
//! proxy in front. Everywhere else a configuration with one of them is refused, and one that is in the store opens
//! nothing.

use std::net::SocketAddr;

use url::Url;

use super::pages::DEFAULT_ACCOUNT_PASSWORD;
use super::sections::{Config, DEFAULT_DOMAIN_PASSWORD, DEFAULT_INSTANCE_PASSWORD};
use crate::core::model::ids::Secret;
use crate::core::policy::hosts;
use crate::core::protocol::loopback::is_loopback;

/// All of them: `config/provbroker.toml`, then `examples/two-nodes/`.
const DELIVERED: [&str; 5] = [
    DEFAULT_INSTANCE_PASSWORD,
    DEFAULT_DOMAIN_PASSWORD,
    DEFAULT_ACCOUNT_PASSWORD,
    "change-me-on-all-nodes",
    "change-me-too-on-all-nodes",
];

/// Whether this is a delivered secret.
pub fn is_delivered(secret: &Secret) -> bool {
    DELIVERED.contains(&secret.expose())
}

impl Config {
    /// Whether only this machine can reach the service, by every way that the configuration names. Delivered passwords
    /// work only then.
    pub fn is_loopback_only(&self) -> bool {
        self.way_in().is_none()
    }

    /// The first setting by which others than this machine reach the service.
    pub fn way_in(&self) -> Option<String> {
        let server = &self.server;
        let exposed = |key: &str, listener: SocketAddr| {
            (!listener.ip().to_canonical().is_loopback()).then(|| format!("{key} = \"{listener}\""))
        };
        let public = Url::parse(&server.public_url).is_ok_and(|url| is_loopback(&url));
        exposed("server.listen", server.listen)
            .or_else(|| exposed("server.ops_listen", server.ops_listen))
            .or_else(|| (!public).then(|| format!("server.public_url = \"{}\"", server.public_url)))
            .or_else(|| (!server.trusted_proxies.is_empty()).then(|| "server.trusted_proxies".to_owned()))
            .or_else(|| {
                let name = server.hosts.iter().find(|name| !hosts::is_loopback(name))?;
                Some(format!("\"{name}\" in server.hosts"))
            })
    }

    /// The keys that hold secrets which open something, with their values.
    fn keys_with_secrets(&self) -> Vec<(String, &Secret)> {
        let mut secrets = vec![
            ("instance.password".to_owned(), &self.instance.password),
            ("security.master_key".to_owned(), &self.security.master_key),
            ("directory.credential".to_owned(), &self.directory.credential),
            ("users.webhook.secret".to_owned(), &self.users.webhook.secret),
        ];
        for domain in &self.domains {
            let of = |key: &str| format!("domains[{}].{key}", domain.name);
            secrets.extend([
                (of("password"), &domain.password),
                (of("admin_password"), &domain.admin_password),
                (of("auto_token"), &domain.auto_token),
            ]);
        }
        let exchange = |of: &super::Pbx| format!("users.pbx.exchanges[{}].password", of.domain);
        secrets.extend(self.users.pbx.exchanges.iter().map(|of| (exchange(of), &of.password)));
        secrets
    }

    /// Whether some secret is a delivered one.
    pub fn has_delivered(&self) -> bool {
        self.keys_with_secrets().iter().any(|(_, secret)| is_delivered(secret))
    }

    /// The first key with a delivered secret, if others than this machine reach the service, and how they do.
    pub(super) fn delivered_in_the_open(&self) -> Option<(String, String)> {
        let way_in = self.way_in()?;
        let key = self.keys_with_secrets().into_iter().find(|(_, secret)| is_delivered(secret))?.0;
        Some((key, way_in))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_of_the_delivered_files_is_known() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = 0;
        for file in ["config/provbroker.toml", "examples/two-nodes/node-1.toml", "examples/two-nodes/node-2.toml"] {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let Some((key, value)) = line.split_once(" = ") else { continue };
                let secret = ["password", "admin_password", "auto_token", "credential", "master_key", "secret"];
                let value = value.trim_matches('"');
                if secret.contains(&key) && !value.is_empty() {
                    assert!(is_delivered(&Secret::new(value)), "{file}: {key}");
                    found += 1;
                }
            }
        }
        assert!(found > 8, "{found}");
    }

    #[test]
    fn every_way_in_counts() {
        let changed = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.way_in()
        };
        assert_eq!(changed(|_| {}), None);
        assert_eq!(changed(|config| config.server.listen = "[::1]:8080".parse().unwrap()), None);
        assert_eq!(changed(|config| config.server.public_url = "https://localhost".into()), None);
        assert_eq!(changed(|config| config.server.hosts = vec!["localhost".into()]), None);
        for (way, change) in [
            ("server.listen", (|config| config.server.listen = "0.0.0.0:8080".parse().unwrap()) as fn(&mut Config)),
            ("server.ops_listen", |config| config.server.ops_listen = "192.0.2.1:9090".parse().unwrap()),
            ("server.public_url", |config| config.server.public_url = "https://broker.example".into()),
            ("server.public_url", |config| config.server.public_url = "http://192.0.2.1:8080".into()),
            ("server.trusted_proxies", |config| config.server.trusted_proxies = vec!["127.0.0.1".into()]),
            ("server.hosts", |config| config.server.hosts = vec!["broker.example".into()]),
        ] {
            assert!(changed(change).is_some_and(|found| found.contains(way)), "{way}");
        }
    }
}
