//! The keys of the configuration with their defaults.
//!
//! `config/provbroker.toml` shows the same keys to operators; `tests/configuration.rs` compares the two. `check.rs`
//! checks whether values are usable and fit together.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pages::{Account, Pages, samples};
use super::section::section;
use super::values::{LogFormat, ProxyProtocol, Role, StoreUrl, TlsVersion, humantime_text};
use crate::core::model::ids::{DomainName, Secret};

/// Delivered password of the instance; accepted if only this machine reaches the service.
pub const DEFAULT_INSTANCE_PASSWORD: &str = "change-me";

/// Delivered password of the example domain; accepted if only this machine reaches the service.
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
        /// The store.
        store: Store = Store::default(),
        /// The Devices service as apps and devices address it.
        instance: Instance = Instance::default(),
        /// Keys for sealing secrets.
        security: Security = Security::default(),
        /// Provisioning codes issued by Devices.
        codes: Codes = Codes::default(),
        /// Jobs on devices.
        jobs: Jobs = Jobs::default(),
        /// The directory that Devices takes codes from, and the directory of this process.
        directory: Directory = Directory::default(),
        /// Connections of devices.
        devices: Devices = Devices::default(),
        /// Admission under load.
        admission: Admission = Admission::default(),
        /// Connections of Users and apps.
        apps: Apps = Apps::default(),
        /// What a domain may have.
        quotas: Quotas = Quotas::default(),
        /// The Users role.
        users: Users = Users::default(),
        /// Limits for wrong attempts.
        limits: Limits = Limits::default(),
        /// Logging.
        log: Log = Log::default(),
        /// Draining on stop.
        lifecycle: Lifecycle = Lifecycle::default(),
        /// Pages for people.
        pages: Pages = Pages::default(),
        /// Accounts that are made at start if missing. A file without accounts makes none.
        #[serde(default)]
        accounts: Vec<Account> = samples(),
        /// Domains that are made at start if missing. A file without domains makes none, so that the example domain
        /// does not appear in an installation whose file names no domains.
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
        /// Allow plain HTTP on addresses other than loopback: TLS ends in front of the broker.
        plain: bool = false,
        /// Public address that devices and browsers are given; no slash at the end.
        public_url: String = "http://127.0.0.1:8080".into(),
        /// Further names by which pages and REST may be addressed, besides that of `public_url`.
        hosts: Vec<String> = Vec::new(),
        /// Networks of the proxies that may name their clients.
        trusted_proxies: Vec<String> = Vec::new(),
        /// Whether connections of these proxies begin with a header of the PROXY protocol.
        proxy_protocol: ProxyProtocol = ProxyProtocol::Off,
        /// Roles of this process.
        roles: BTreeSet<Role> = BTreeSet::from([Role::Directory, Role::Devices, Role::Users]),
        /// Name of this node, unique among the nodes of one store; empty: random at every start.
        node: String = String::new(),
        /// Worker threads; 0: one per core.
        workers: usize = 0,
        /// WebSocket connections open at the same time. Those that have not proved who they are can have nine tenths.
        max_connections: usize = 100_000,
        /// Other connections open at the same time on the public listener and on that of devices' own pages.
        max_http_connections: usize = 16_384,
        /// Memory for messages and requests that are not complete, of connections that have not proved who they are, in
        /// bytes; one source can have a quarter.
        unproven_memory: usize = 33_554_432,
    }
}

section! {
    /// `[tls]`: without a certificate the public listener speaks plain HTTP.
    Tls {
        /// PEM file with the certificate chain, the server's own certificate first; empty: no TLS.
        certificate: PathBuf = PathBuf::new(),
        /// PEM file with its private key.
        key: PathBuf = PathBuf::new(),
        /// Oldest TLS version that is accepted.
        min_version: TlsVersion = TlsVersion::Tls12,
        /// Allow session resumption with tickets.
        tickets: bool = true,
        /// How long a ticket is valid at least; its keys are replaced after half of this time.
        #[serde(with = "humantime_text")]
        ticket_lifetime: Duration = Duration::from_secs(12 * 3600),
        /// Time limit of a handshake.
        #[serde(with = "humantime_text")]
        handshake_timeout: Duration = Duration::from_secs(10),
    }
}

section! {
    /// `[store]`
    Store {
        /// Address of the store.
        url: StoreUrl = StoreUrl::Embedded("data/provbroker.redb".into()),
        /// Time limit of one operation, including the wait for a connection of the pool.
        #[serde(with = "humantime_text")]
        deadline: Duration = Duration::from_millis(300),
        /// Bytes of an embedded store's file that are cached in memory.
        cache: usize = 8_388_608,
    }
}

section! {
    /// `[instance]`
    Instance {
        /// Domain of the service; first part of every path.
        domain: DomainName = example_com(),
        /// Name of the service; second part of every path.
        name: String = "devices".into(),
        /// Password for administrators' apps.
        password: Secret = Secret::new(DEFAULT_INSTANCE_PASSWORD),
    }
}

section! {
    /// `[security]`
    Security {
        /// Key that the key ring of the store is sealed under; empty: a key file beside an embedded store, and on Redis the
        /// instance password.
        master_key: Secret = Secret::default(),
        /// Earlier master keys, and instance passwords that were used without one. A store that one of them opens is
        /// sealed anew under the present key.
        previous_keys: Vec<Secret> = Vec::new(),
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
        /// Users receives the notice at the latest this long after the entry, even if jobs on the device are not done.
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
        /// An update attempt fails if the device has not reconnected this long after the order to load software.
        #[serde(with = "humantime_text")]
        restart_within: Duration = Duration::from_secs(10 * 60),
        /// Delay before the second attempt at an update; it doubles with each attempt, five attempts at most.
        #[serde(with = "humantime_text")]
        update_again: Duration = Duration::from_secs(60),
        /// Delay before the second attempt at a configuration; four times as long each time, four attempts at most.
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
        /// SHA-256 (hex) of further credentials that the directory of this process accepts.
        accept: Vec<String> = Vec::new(),
        /// The directory of this process accepts requests without a credential. For closed networks only.
        open: bool = false,
        /// The directory of this process accepts `ws://` addresses from other processes, too.
        allow_ws: bool = false,
        /// New codes per second and credential.
        codes_per_second: u32 = 1000,
        /// Open codes per credential.
        max_open: u64 = 1_000_000,
        /// Records of phones that have asked at `/init` and have entered no valid code.
        max_contacts: u64 = 20_000,
        /// Such records of one source address.
        max_contacts_per_address: u64 = 5000,
        /// Time limit of a request to a remote directory.
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
        /// Concurrent HTTP requests through the tunnel of one device, without those of the broker itself.
        max_tunnels: usize = 16,
        /// Connections of unassigned devices per source address.
        max_unassigned_per_address: usize = 256,
        /// Connections of unassigned devices on this node.
        max_unassigned: usize = 100_000,
        /// How long an unassigned device is remembered.
        #[serde(with = "humantime_text")]
        keep_unassigned: Duration = Duration::from_secs(24 * 3600),
        /// Unassigned devices that are remembered in the store.
        max_unassigned_records: u64 = 10_000,
        /// Unassigned devices of one source address that are remembered in the store.
        max_unassigned_records_per_address: u64 = 1000,
        /// Most bytes queued for a peer that it has not read yet.
        send_window: usize = 65_536,
        /// A connection whose peer reads nothing for this long is closed.
        #[serde(with = "humantime_text")]
        write_timeout: Duration = Duration::from_secs(30),
        /// Longest wait for the answer to a close frame.
        #[serde(with = "humantime_text")]
        close_wait: Duration = Duration::from_secs(2),
    }
}

section! {
    /// `[admission]`: who may start, who waits and who is refused under load. An admission is never withdrawn.
    Admission {
        /// Target duration of a registration: while registrations take less, more of them run at once.
        #[serde(with = "humantime_text")]
        target: Duration = Duration::from_millis(200),
        /// Upper bound of concurrent registrations; the current limit follows `target`.
        max_registrations: usize = 8192,
        /// Upper bound of concurrent TLS and HTTP handshakes; the current limit follows the load of the threads.
        max_handshakes: usize = 8192,
        /// Longest queue: of devices that wait for registration, and of connections that wait for their handshake.
        max_waiting: usize = 32_768,
        /// Longest wait; who would wait longer is refused.
        #[serde(with = "humantime_text")]
        max_wait: Duration = Duration::from_secs(20),
        /// No new connection is admitted while the process uses more memory than this, in bytes; 0: no limit.
        max_memory: u64 = 0,
        /// File descriptors reserved for the store, the operations listener and logs.
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
        /// Concurrent `HttpGet` requests per connection.
        fetches: usize = 8,
        /// Unsettled notices per connection.
        notice_window: usize = 64,
        /// Whether a proxy in front serves the page of the hidden app, and the page answers searches; then they are
        /// announced.
        search_page: bool = false,
        /// After this time without anything sent a ping is sent, so that balancers do not cut the connection; 0: never.
        #[serde(with = "humantime_text")]
        ping_every: Duration = Duration::from_secs(25),
        /// Time until the pong that settles a notice.
        #[serde(with = "humantime_text")]
        notice_timeout: Duration = Duration::from_secs(30),
        /// How long the connection has to stay open after that pong before the notice is settled.
        #[serde(with = "humantime_text")]
        notice_hold: Duration = Duration::from_secs(5),
        /// Most bytes queued for a peer that it has not read yet.
        send_window: usize = 1_048_576,
    }
}

section! {
    /// `[quotas]`: what each domain may have at most; 0 means no limit.
    Quotas {
        /// Devices.
        devices: u64 = 100_000,
        /// Categories.
        categories: u64 = 1000,
        /// Jobs.
        jobs: u64 = 1000,
        /// Codes issued within 24 hours.
        codes_per_day: u64 = 200_000,
        /// Roll-outs that are kept, of operators and of the Users role each.
        rollouts: u64 = 200,
        /// Users in all roll-outs that are kept, of operators and of the Users role each.
        rollout_rows: u64 = 200_000,
        /// Accounts.
        accounts: u64 = 2000,
        /// Devices on offer to other domains.
        offers: u64 = 10_000,
    }
}

section! {
    /// `[log]`
    Log {
        /// Form of a line.
        format: LogFormat = LogFormat::Text,
        /// Level, or directives such as `info,provbroker::device=debug`.
        filter: String = "info".into(),
    }
}

section! {
    /// `[lifecycle]`
    Lifecycle {
        /// Delay between "not ready" and the first close, so that load balancers notice.
        #[serde(with = "humantime_text")]
        drain_wait: Duration = Duration::from_secs(1),
        /// Members whose connections are closed per second on stop.
        drain_per_second: u32 = 500,
        /// After this time work in flight is no longer waited for. Members are closed faster if this time requires it.
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
    /// Administrative password that devices are given, if set.
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
    /// Name, unique within the domain. A category that is made has no comma in its name.
    pub name: String,
    /// Devices can enter it with a code or a token.
    #[serde(default)]
    pub provisioning: bool,
}

fn example_com() -> DomainName {
    // Letters and a dot are a valid name.
    #[allow(clippy::expect_used)]
    DomainName::parse("example.com").expect("a valid name")
}
