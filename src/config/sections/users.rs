//! The keys of the Users role.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::values::{BackendKind, humantime_text};
use crate::core::ids::{DomainName, Secret};

section! {
    /// `[users]`
    Users {
        /// Where users come from, and where their phones are entered.
        backend: BackendKind = BackendKind::File,
        /// Address of the app WebSocket of Devices, `wss://HOST/DOMAIN/INSTANCE`; empty: this process.
        devices: String = String::new(),
        /// Names of the phone apps that can be chosen.
        phone_apps: Vec<String> = vec!["phone".into()],
        /// Orders of a tenant that are carried out at the same time.
        orders_at_once: usize = 16,
        /// An attempt at an order that takes longer has failed.
        #[serde(with = "humantime_text")]
        order_timeout: Duration = Duration::from_secs(60),
        /// Wait after the first attempt that has failed; then twice as long each time …
        #[serde(with = "humantime_text")]
        order_again: Duration = Duration::from_secs(5),
        /// … up to this.
        #[serde(with = "humantime_text")]
        order_again_max: Duration = Duration::from_secs(10 * 60),
        /// Requests a second and tenant for the progress of phones that somebody looks at.
        looks_per_second: u32 = 20,
        /// The tenants that are served; none: the `[[domains]]` of the file.
        tenants: Vec<Tenant> = Vec::new(),
        /// Keys of the backend `file`.
        file: UsersFile = UsersFile::default(),
        /// Keys of the backend `webhook`.
        webhook: UsersWebhook = UsersWebhook::default(),
    }
}

section! {
    /// `[users.file]`
    UsersFile {
        /// CSV file with the users.
        users: PathBuf = "config/people.csv".into(),
        /// CSV file that phones are entered in.
        phones: PathBuf = "data/phones.csv".into(),
    }
}

section! {
    /// `[users.webhook]`
    UsersWebhook {
        /// CSV file with the users.
        users: PathBuf = "config/people.csv".into(),
        /// Address that phones are posted to.
        url: String = String::new(),
        /// Secret that requests are signed with.
        secret: Secret = Secret::default(),
        /// Longest wait for an answer.
        #[serde(with = "humantime_text")]
        timeout: Duration = Duration::from_secs(10),
    }
}

/// `[[users.tenants]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Name of its domain.
    pub name: DomainName,
    /// Password of its domain.
    pub password: Secret,
}
