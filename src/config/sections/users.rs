//! The keys of the Users role.

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
        /// Address that phones are posted to.
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
        /// Name of the instance that a PBX connects to, below the domain of the own instance.
        instance: String = "users".into(),
        /// Flags of a new device entry.
        flags: Vec<Flag> = vec![Flag::Tls, Flag::Trusted],
        /// What happens when a phone is entered for somebody else.
        conflict: Conflict = Conflict::Move,
        /// Changes a second and PBX.
        updates_per_second: usize = 20,
        /// Other requests a second and PBX.
        requests_per_second: usize = 50,
        /// What a PBX says of itself counts only under the names that it has proved.
        check_names: bool = true,
        /// The PBXs.
        exchanges: Vec<Pbx> = Vec::new(),
    }
}

/// `[[users.pbx.exchanges]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pbx {
    /// The tenant whose users it has.
    pub domain: DomainName,
    /// System name of the PBX; empty: the name of the tenant.
    #[serde(default)]
    pub system: String,
    /// Name of the PBX that counts; empty: whichever connects.
    #[serde(default)]
    pub pbx: String,
    /// Name of the app object.
    pub object: String,
    /// Its password.
    pub password: Secret,
    /// Address to connect to; empty: the PBX connects to us.
    #[serde(default)]
    pub url: String,
    /// PEM file of the authority that the certificate of the PBX must lead to.
    #[serde(default)]
    pub authority: PathBuf,
    /// SHA-256 of the certificate of the PBX, in hex.
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
