//! The keys of the configuration, each with its default beside it.
//!
//! `config/provbroker.toml` shows the same keys to the operator; `tests/configuration.rs` holds the two equal. Whether values
//! fit together is not decided here but in `check.rs`.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pages::{Account, Pages, samples};
use super::section::section;
use super::values::{LogFormat, Role, StoreUrl, TlsVersion, humantime_text};
use crate::core::model::ids::{DomainName, Secret};

/// Password of the instance as it is delivered; it serves on loopback only.
pub const DEFAULT_INSTANCE_PASSWORD: &str = "change-me";

/// Password of the example domain as it is delivered; worth a warning anywhere but on loopback.
pub const DEFAULT_DOMAIN_PASSWORD: &str = "domain-secret";

mod limits;
mod users;

pub use limits::Limits;
pub use users::{Pbx, Tenant, Users, UsersFile, UsersPbx, UsersWebhook};

section! {
    /// The whole configuration. Its default is the delivered `config/provbroker.toml`.
    Config {
        /// Listeners and roles.
        server: Server = Server::default(),
        /// TLS of the public listener.
        tls: Tls = Tls::default(),
        /// Where everything is kept.
        store: Store = Store::default(),
        /// The installed service.
        instance: Instance = Instance::default(),
        /// Keys of this installation.
        security: Security = Security::default(),
        /// Provisioning codes as Devices hands them out.
        codes: Codes = Codes::default(),
        /// Work on phones.
        jobs: Jobs = Jobs::default(),
        /// The directory that codes come from, and the own one.
        directory: Directory = Directory::default(),
        /// Connections of devices.
        devices: Devices = Devices::default(),
        /// Who is let in when all come at once.
        admission: Admission = Admission::default(),
        /// Connections of Users and apps.
        apps: Apps = Apps::default(),
        /// The Users role.
        users: Users = Users::default(),
        /// Attempts that are let pass.
        limits: Limits = Limits::default(),
        /// Logging.
        log: Log = Log::default(),
        /// Stopping.
        lifecycle: Lifecycle = Lifecycle::default(),
        /// Pages for people.
        pages: Pages = Pages::default(),
        /// Accounts that are made at start if missing; a file without any makes none.
        #[serde(default)]
        accounts: Vec<Account> = samples(),
        /// Domains that are made at start if missing. A file without any makes none: the example domain must not appear in
        /// an installation only because its file says nothing about domains.
        #[serde(default)]
        domains: Vec<Domain> = vec![Domain::example()],
    }
}

section! {
    /// `[server]`
    Server {
        /// Public listener.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
        /// Listener for `/metrics`, `/healthz` and `/readyz`.
        ops_listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
        /// Plain HTTP on another address than the loopback too: TLS ends in front of the broker.
        plain: bool = false,
        /// What phones and browsers are told; no slash at the end.
        public_url: String = "http://127.0.0.1:8080".into(),
        /// What this process does.
        roles: BTreeSet<Role> = BTreeSet::from([Role::Directory, Role::Devices, Role::Users]),
        /// Name of this node among those on one store; empty: random at every start.
        node: String = String::new(),
        /// Worker threads; 0: one per core.
        workers: usize = 0,
        /// Connections open at the same time on the public listener.
        max_connections: usize = 100_000,
    }
}

section! {
    /// `[tls]`: without a certificate the public listener speaks plain HTTP.
    Tls {
        /// PEM file with the certificate and those that lead to a root; empty: no TLS.
        certificate: PathBuf = PathBuf::new(),
        /// PEM file with its private key.
        key: PathBuf = PathBuf::new(),
        /// Oldest version that is spoken.
        min_version: TlsVersion = TlsVersion::Tls12,
        /// Sessions are resumed by tickets.
        tickets: bool = true,
        /// A ticket is good for this long at least; new keys for them are made after half of it.
        #[serde(with = "humantime_text")]
        ticket_lifetime: Duration = Duration::from_secs(12 * 3600),
        /// A handshake that takes longer is cut.
        #[serde(with = "humantime_text")]
        handshake_timeout: Duration = Duration::from_secs(10),
    }
}

section! {
    /// `[store]`
    Store {
        /// Which store.
        url: StoreUrl = StoreUrl::Embedded("data/provbroker.redb".into()),
        /// Longest wait for one operation, pool included.
        #[serde(with = "humantime_text")]
        deadline: Duration = Duration::from_millis(300),
        /// Bytes of an embedded file that are kept in memory.
        cache: usize = 8_388_608,
    }
}

section! {
    /// `[instance]`
    Instance {
        /// Domain that the service is installed in; first part of every path.
        domain: DomainName = example_com(),
        /// Name of the service; second part of every path.
        name: String = "devices".into(),
        /// Password with which administrators' apps log in.
        password: Secret = Secret::new(DEFAULT_INSTANCE_PASSWORD),
    }
}

section! {
    /// `[security]`
    Security {
        /// Key that secrets in the store are sealed with; empty: derived from the instance password.
        master_key: Secret = Secret::default(),
    }
}

section! {
    /// `[codes]`
    Codes {
        /// Validity of a code.
        #[serde(with = "humantime_text")]
        ttl: Duration = Duration::from_secs(10 * 60),
        /// Validity of a code of a roll-out.
        #[serde(with = "humantime_text")]
        rollout_ttl: Duration = Duration::from_secs(7 * 24 * 3600),
        /// Users is told at the latest this long after the entry, even if the work on the device is not finished.
        #[serde(with = "humantime_text")]
        notice_after: Duration = Duration::from_secs(15 * 60),
        /// Open short codes per domain.
        max_open: u64 = 10_000,
        /// Open roll-out codes per domain.
        max_open_rollout: u64 = 100_000,
        /// New codes per second and app connection.
        codes_per_second: u32 = 500,
    }
}

section! {
    /// `[jobs]`
    Jobs {
        /// A phone that has been ordered to load software is back after this time, or the attempt has failed.
        #[serde(with = "humantime_text")]
        restart_within: Duration = Duration::from_secs(10 * 60),
        /// Wait after the first failed update; then twice as long each time, five attempts in all.
        #[serde(with = "humantime_text")]
        update_again: Duration = Duration::from_secs(60),
        /// Wait after the first failed configuration; then four times as long each time, four attempts in all.
        #[serde(with = "humantime_text")]
        config_again: Duration = Duration::from_secs(30),
    }
}

section! {
    /// `[directory]`
    Directory {
        /// Base address of a remote directory, such as `https://config.example.org/api/v1`; empty: in this process.
        url: String = String::new(),
        /// Credential shown to that directory; an own directory role takes it too.
        credential: Secret = Secret::default(),
        /// SHA-256 (hex) of further credentials that the own directory takes.
        accept: Vec<String> = Vec::new(),
        /// The own directory takes requests without a credential. For closed networks only.
        open: bool = false,
        /// The own directory takes `ws://` addresses from other processes too.
        allow_ws: bool = false,
        /// New codes per second and credential.
        codes_per_second: u32 = 1000,
        /// Open codes per credential.
        max_open: u64 = 1_000_000,
        /// Longest wait for a remote directory.
        #[serde(with = "humantime_text")]
        timeout: Duration = Duration::from_secs(10),
    }
}

section! {
    /// `[devices]`
    Devices {
        /// Time until the identify message.
        #[serde(with = "humantime_text")]
        identify_timeout: Duration = Duration::from_secs(30),
        /// Time until the answer to a challenge.
        #[serde(with = "humantime_text")]
        challenge_timeout: Duration = Duration::from_secs(60),
        /// How often a device is pinged.
        #[serde(with = "humantime_text")]
        ping_every: Duration = Duration::from_secs(30),
        /// A connection without any incoming frame for this long is closed.
        #[serde(with = "humantime_text")]
        dead_after: Duration = Duration::from_secs(90),
        /// HTTP requests through the tunnel of one device at once, beside those of the broker itself.
        max_tunnels: usize = 16,
        /// Unassigned connections per source address.
        max_unassigned_per_address: usize = 256,
        /// Unassigned connections in all.
        max_unassigned: usize = 100_000,
        /// An unassigned device is forgotten after this time.
        #[serde(with = "humantime_text")]
        keep_unassigned: Duration = Duration::from_secs(24 * 3600),
        /// Bytes on the way to a peer that it has not taken yet.
        send_window: usize = 65_536,
        /// A peer that takes nothing for this long is cut.
        #[serde(with = "humantime_text")]
        write_timeout: Duration = Duration::from_secs(30),
        /// Longest wait for the answer to a close frame.
        #[serde(with = "humantime_text")]
        close_wait: Duration = Duration::from_secs(2),
    }
}

section! {
    /// `[admission]`: who may begin, who waits and who is sent away. What was admitted is never taken back.
    Admission {
        /// A registration should be done within this time; as long as it is, more are let in at once.
        #[serde(with = "humantime_text")]
        target: Duration = Duration::from_millis(200),
        /// Registrations at once at most; how many it is follows `target`.
        max_registrations: usize = 8192,
        /// TLS and HTTP handshakes at once at most; how many it is follows the load of the threads.
        max_handshakes: usize = 8192,
        /// Devices that may wait for their registration, and connections that may wait for their handshake, each.
        max_waiting: usize = 32_768,
        /// Whoever would wait longer is sent away.
        #[serde(with = "humantime_text")]
        max_wait: Duration = Duration::from_secs(20),
        /// Bytes of memory in use from which on no new connection is let in; 0: no such bound.
        max_memory: u64 = 0,
        /// Descriptors that connections leave for the store, the operations listener and logs.
        reserved_descriptors: u64 = 64,
    }
}

section! {
    /// `[apps]`
    Apps {
        /// Time until the log-in.
        #[serde(with = "humantime_text")]
        login_timeout: Duration = Duration::from_secs(60),
        /// Requests per second and connection.
        requests_per_second: u32 = 50,
        /// `HttpGet` of a connection at the same time.
        fetches: usize = 8,
        /// Notices on the way at once on one connection.
        notice_window: usize = 64,
        /// Time until the pong that settles a notice.
        #[serde(with = "humantime_text")]
        notice_timeout: Duration = Duration::from_secs(30),
        /// How long the connection has to stay open after that pong.
        #[serde(with = "humantime_text")]
        notice_hold: Duration = Duration::from_secs(5),
        /// Bytes on the way to a peer that it has not taken yet.
        send_window: usize = 1_048_576,
    }
}

section! {
    /// `[log]`
    Log {
        /// Form of a line.
        format: LogFormat = LogFormat::Text,
        /// Level, or directives such as `info,provbroker::actors=debug`.
        filter: String = "info".into(),
    }
}

section! {
    /// `[lifecycle]`
    Lifecycle {
        /// From "not ready" to the first close, for load balancers to notice.
        #[serde(with = "humantime_text")]
        drain_wait: Duration = Duration::from_secs(1),
        /// Members closed per second on stop.
        drain_per_second: u32 = 500,
        /// After this time nobody waits for work in flight any more; members are closed faster if they would not fit in.
        #[serde(with = "humantime_text")]
        drain_max: Duration = Duration::from_secs(30),
    }
}

/// `[[domains]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Name.
    pub name: DomainName,
    /// Password for app connections.
    pub password: Secret,
    /// Administrative password, handed to devices if set.
    #[serde(default)]
    pub admin_password: Secret,
    /// Token of automatic provisioning; empty: off.
    #[serde(default)]
    pub auto_token: Secret,
    /// Categories that are made if missing.
    #[serde(default)]
    pub categories: Vec<Category>,
}

impl Domain {
    fn example() -> Self {
        Self {
            name: example_com(),
            password: Secret::new(DEFAULT_DOMAIN_PASSWORD),
            admin_password: Secret::default(),
            auto_token: Secret::default(),
            categories: vec![Category { name: "Desk phones".into(), provisioning: true }],
        }
    }
}

/// `[[domains.categories]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Name, unique within the domain.
    pub name: String,
    /// Devices can enter it with a code or token.
    #[serde(default)]
    pub provisioning: bool,
}

fn example_com() -> DomainName {
    // The name is made of letters and a dot.
    #[allow(clippy::expect_used)]
    DomainName::parse("example.com").expect("a valid name")
}
