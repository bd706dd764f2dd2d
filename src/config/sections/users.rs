//! Keys of `[users]`: the Users role and its backends.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::section::section;
use super::super::values::{BackendKind, humantime_text};
use crate::core::model::ids::{DomainName, Secret};
use crate::core::session::exchange::entry::Flag;
use crate::core::session::exchange::settings::Conflict;

section! {
    /// `[users]`
    Users {
        /// Backend: source of the list of users, and where phones are entered.
        backend: BackendKind = BackendKind::File,
        /// Address of the app WebSocket of Devices, `wss://HOST/DOMAIN/INSTANCE`; empty: this process.
        devices: String = String::new(),
        /// Names of the phone apps that can be chosen.
        phone_apps: Vec<String> = vec!["phone".into()],
        /// Concurrent entry orders per tenant.
        orders_at_once: usize = 16,
        /// Time limit of one attempt at an entry order.
        #[serde(with = "humantime_text")]
        order_timeout: Duration = Duration::from_secs(60),
        /// Delay before the second attempt at an entry order; it doubles with each attempt.
        #[serde(with = "humantime_text")]
        order_again: Duration = Duration::from_secs(5),
        /// Longest delay between two attempts at an entry order.
        #[serde(with = "humantime_text")]
        order_again_max: Duration = Duration::from_secs(10 * 60),
        /// Requests per second and tenant for the progress of phones whose page is open.
        looks_per_second: u32 = 20,
        /// Tenants to serve; empty: the `[[domains]]` of the file.
        tenants: Vec<Tenant> = Vec::new(),
        /// Keys of the backend `file`.
        file: UsersFile = UsersFile::default(),
        /// Keys of the backend `webhook`.
        webhook: UsersWebhook = UsersWebhook::default(),
        /// Keys of the backend `pbx`.
        pbx: UsersPbx = UsersPbx::default(),
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
        /// Address that entries of phones are posted to.
        url: String = String::new(),
        /// Secret that requests are signed with.
        secret: Secret = Secret::default(),
        /// Longest wait for an answer.
        #[serde(with = "humantime_text")]
        timeout: Duration = Duration::from_secs(10),
    }
}

section! {
    /// `[users.pbx]`
    UsersPbx {
        /// Name of the instance that an exchange connects to, below the domain of `[instance]`.
        instance: String = "users".into(),
        /// Flags of a new device entry.
        flags: Vec<Flag> = vec![Flag::Tls, Flag::Trusted],
        /// What to do if the phone is entered for another user already.
        conflict: Conflict = Conflict::Move,
        /// Changes per second and exchange.
        updates_per_second: usize = 20,
        /// Other requests per second and exchange.
        requests_per_second: usize = 50,
        /// Accept what an exchange reports only for the names that it has authenticated with.
        check_names: bool = true,
        /// One exchange per tenant.
        exchanges: Vec<Pbx> = Vec::new(),
    }
}

/// `[[users.pbx.exchanges]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pbx {
    /// Tenant whose users it has.
    pub domain: DomainName,
    /// System name of the exchange; empty: the name of the tenant.
    #[serde(default)]
    pub system: String,
    /// Name of the exchange to use; empty: any that connects.
    #[serde(default)]
    pub pbx: String,
    /// Name of the app object.
    pub object: String,
    /// Its password.
    pub password: Secret,
    /// Address to connect to; empty: the exchange connects to us.
    #[serde(default)]
    pub url: String,
    /// PEM file with the authority that must have signed the certificate of the exchange.
    #[serde(default)]
    pub authority: PathBuf,
    /// SHA-256 of the certificate of the exchange, in hex.
    #[serde(default)]
    pub fingerprint: String,
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
