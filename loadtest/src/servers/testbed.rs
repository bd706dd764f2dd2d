//! Everything that the load test starts for a run: a Redis, brokers on one store, or floor servers.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use provbroker::core::model::ids::Secret;

use super::Server;
use super::redis::{Commands, Redis};
use super::tls;
use crate::settings::Settings;
use crate::worker_commands::{TlsOrder, WorkerCommand};

/// Most connections per server, given 20 000 descriptors per process.
const PER_SERVER: usize = 18_500;

/// Provisioning token of the domains of our own brokers.
const TOKEN: &str = "t0ken";
/// Category in the domains of our own brokers.
const CATEGORY: &str = "phones";
/// Password of the domains of our own brokers.
const DOMAIN_PASSWORD: &str = "of the domain";

/// A domain that devices enter.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Path of the upgrade with token.
    pub path: String,
    /// Path of the upgrade of devices with a code.
    pub path_without_token: String,
    /// Its administrative password, if known.
    pub admin_password: Option<Secret>,
    /// Its password, if known.
    pub password: Option<Secret>,
    /// The category to enter.
    pub category: String,
}

impl Tenant {
    /// Path of the WebSocket of apps.
    pub fn apps_path(&self) -> &str {
        self.path_without_token.trim_end_matches("/sysclients")
    }
}

/// Brokers and their store. Fields are dropped in this order.
pub struct Testbed {
    tls: Option<TlsOrder>,
    brokers: Vec<Server>,
    given: Option<SocketAddr>,
    configs: Vec<PathBuf>,
    program: PathBuf,
    variables: Vec<(String, String)>,
    /// Domains, in the order in which groups take them.
    pub tenants: Vec<Tenant>,
    /// The store, as in the configuration of the brokers.
    pub store: String,
    _redis: Option<Redis>,
    _folder: tempfile::TempDir,
}

impl Testbed {
    /// Starts what this many devices and domains need. `run` makes the names of the domains unique, because a given
    /// store is not emptied.
    pub fn set_up(settings: &Settings, devices: usize, domains: usize, run: u64) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let given = settings.url.as_deref().map(address).transpose()?;
        let redis = match (&settings.store, given) {
            (None, None) => Some(Redis::start(folder.path())?),
            _ => None,
        };
        let store = match (settings.store.as_deref(), &redis) {
            (Some("embedded"), _) => format!("embedded:{}", folder.path().join("broker.redb").display()),
            (Some(store), _) => store.to_owned(),
            (None, redis) => redis.as_ref().map(|redis| redis.url.clone()).unwrap_or_default(),
        };
        let tenants = if given.is_some() { vec![tenant_given(settings)?] } else { own_tenants(run, domains) };
        let nodes = settings.nodes.unwrap_or_else(|| devices.div_ceil(PER_SERVER).max(1));
        if nodes > 1 && store.starts_with("embedded:") {
            bail!("{nodes} brokers need a Redis: the embedded store serves one only");
        }
        let tls = tls::order(settings, folder.path())?;
        let mut configs = Vec::new();
        for node in 0..if given.is_some() { 0 } else { nodes } {
            let config = folder.path().join(format!("broker-{node}.toml"));
            std::fs::write(&config, configuration(settings, node, &store, &tenants, folder.path())?)?;
            configs.push(config);
        }
        let variables = settings.set.iter().map(|set| variable(set)).collect::<anyhow::Result<_>>()?;
        let program = settings.program()?;
        let brokers = Vec::new();
        let mut testbed =
            Self { tls, brokers, given, configs, program, variables, tenants, store, _redis: redis, _folder: folder };
        testbed.start()?;
        Ok(testbed)
    }

    fn start(&mut self) -> anyhow::Result<()> {
        for config in &self.configs {
            self.brokers.push(Server::broker(&self.program, config, &self.variables)?);
        }
        Ok(())
    }

    /// Restarts the brokers on the same store, so that memory used by entering is not counted for members.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        for broker in self.brokers.drain(..) {
            broker.stop()?;
        }
        self.start()
    }

    /// Kills the brokers.
    pub fn stop_brokers(&mut self) {
        self.brokers.clear();
    }

    /// Addresses that devices connect to.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.given.into_iter().chain(self.brokers.iter().map(|broker| broker.address)).collect()
    }

    /// The command that directs devices to these servers.
    pub fn target(&self) -> WorkerCommand {
        WorkerCommand::SetServers { servers: self.addresses(), floor: false, tls: self.tls.clone() }
    }

    /// The brokers that this has started.
    pub fn brokers(&self) -> &[Server] {
        &self.brokers
    }

    /// The command counter; `None` if the store is not a Redis or not known.
    pub fn commands(&self) -> anyhow::Result<Option<Commands>> {
        Commands::of(&self.store)
    }
}

/// Starts floor servers, as many as brokers.
pub fn floors(how_many: usize, workers: usize) -> anyhow::Result<Vec<Server>> {
    (0..how_many.max(1)).map(|node| Server::floor(workers, listen(node)?)).collect()
}

fn listen(node: usize) -> anyhow::Result<IpAddr> {
    let last = u8::try_from(node + 1).context("too many nodes")?;
    Ok(Ipv4Addr::new(127, 0, 0, last).into())
}

fn own_tenants(run: u64, domains: usize) -> Vec<Tenant> {
    let tenant = |number| {
        let name = format!("load-{run:x}-{number}.example");
        let without = "/example.com/devices/sysclients".to_owned();
        Tenant {
            path: format!("{without}?domain={name}&token={TOKEN}&category={CATEGORY}"),
            path_without_token: without,
            name,
            admin_password: Some(Secret::new(format!("administrative of {number}"))),
            password: Some(Secret::new(DOMAIN_PASSWORD)),
            category: CATEGORY.to_owned(),
        }
    };
    (0..domains.max(1)).map(tenant).collect()
}

fn tenant_given(settings: &Settings) -> anyhow::Result<Tenant> {
    let name = settings.domain.clone().context("--url needs --domain")?;
    let category = settings.category.clone().unwrap_or_else(|| CATEGORY.to_owned());
    let without = match settings.url.as_deref().unwrap_or_default().split_once("://") {
        Some((_, rest)) if rest.contains('/') => {
            format!("/{}", rest.split_once('/').map_or("", |(_, path)| path).trim_end_matches('/'))
        }
        _ => "/example.com/devices".to_owned(),
    } + "/sysclients";
    let token = settings.token.clone().unwrap_or_default();
    Ok(Tenant {
        path: format!("{without}?domain={name}&token={token}&category={category}"),
        path_without_token: without,
        name,
        admin_password: None,
        password: settings.password.as_deref().map(Secret::new),
        category,
    })
}

/// The address in `[scheme://]HOST[:PORT][/…]`.
fn address(url: &str) -> anyhow::Result<SocketAddr> {
    use std::net::ToSocketAddrs as _;
    let (scheme, rest) = url.split_once("://").unwrap_or(("ws", url));
    let authority = rest.split('/').next().unwrap_or_default();
    let port = if matches!(scheme, "wss" | "https") { 443 } else { 80 };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
    authority.to_socket_addrs().ok().and_then(|mut found| found.next()).with_context(|| format!("no address: {url}"))
}

/// Converts `store.deadline=1s` to its environment variable.
fn variable(set: &str) -> anyhow::Result<(String, String)> {
    let (key, value) = set.split_once('=').with_context(|| format!("--set {set}: write KEY=VALUE"))?;
    Ok((format!("PROVBROKER__{}", key.replace('.', "__").to_uppercase()), value.to_owned()))
}

/// Configuration of a broker whose limits allow that all devices come from a few source addresses and all codes are
/// requested by one app.
fn configuration(
    settings: &Settings,
    node: usize,
    store: &str,
    tenants: &[Tenant],
    folder: &Path,
) -> anyhow::Result<String> {
    let (workers, listen) = (settings.workers.unwrap_or(1), listen(node)?);
    let speaks_tls = settings.tls || settings.tls_resume;
    // No device reads it, but it has to be valid.
    let public = if speaks_tls { "public_url = \"https://localhost\"\n" } else { "" };
    let sections = [
        ("server", format!("listen = \"{listen}:0\"\nops_listen = \"127.0.0.1:0\"\nworkers = {workers}\n{public}")),
        ("store", format!("url = {store:?}\n")),
        // Pings more often than by default, so that idle members have been pinged before they are measured.
        ("devices", "ping_every = \"10s\"\nmax_unassigned_per_address = 100000\n".to_owned()),
        ("limits", "address = 1000000\n".to_owned()),
        ("apps", "requests_per_second = 100000\n".to_owned()),
        ("codes", "codes_per_second = 100000\nmax_open = 100000\n".to_owned()),
        ("directory", "codes_per_second = 100000\n".to_owned()),
        ("log", "format = \"json\"\nfilter = \"warn,provbroker::app=info\"\n".to_owned()),
    ];
    let mut text = String::new();
    for (section, keys) in sections {
        write!(text, "[{section}]\n{keys}")?;
    }
    if speaks_tls {
        let [certificate, key] = tls::files(folder);
        write!(
            text,
            "[tls]\ncertificate = {:?}\nkey = {:?}\n",
            certificate.display().to_string(),
            key.display().to_string()
        )?;
    }
    for tenant in tenants {
        write!(
            text,
            "[[domains]]\nname = {:?}\npassword = {DOMAIN_PASSWORD:?}\nadmin_password = {:?}\n\
             auto_token = {TOKEN:?}\n[[domains.categories]]\nname = {CATEGORY:?}\nprovisioning = true\n",
            tenant.name,
            tenant.admin_password.as_ref().map_or("", Secret::expose),
        )?;
    }
    Ok(text)
}
