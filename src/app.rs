//! Wires the parts of the broker together: makes a running broker from a configuration.
//!
//! Only this module names concrete stores and directories. How the parts fit is described in `docs/architecture.md`.

mod own_listener;
mod own_pages;
mod pages;
mod periodic;
mod public_site;
mod settings;
mod tls;
mod users_role;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use socket2::SockRef;
use tokio::time::interval;

use crate::admin::{self, Admin};
use crate::admission::controller::AdmissionController;
use crate::app::own_listener::OwnListener;
use crate::attempts::AttemptService;
use crate::config::{Config, Lifecycle, Role, StoreUrl};
use crate::connection::accept_gate::{Gate, GateParts, Passed, PlaceStocks, Unguarded};
use crate::connection::client_stream::ClientStream;
use crate::connection::http::{LINGER, Metered};
use crate::connection::places::{HttpPlaces, PlaceBounds};
use crate::connection::table::ConnectionTable;
use crate::connection::tls::Tls;
use crate::core::model::ids::NodeId;
use crate::directory::{Directory, DirectoryService, LocalDirectory, RemoteDirectory};
use crate::lifecycle::{self, Shutdown};
use crate::metrics::{self, Gauge, PlaceKind};
use crate::node::{Node, NodeParts, draining};
use crate::registration::RegistrationService;
use crate::store::Store;
use crate::tenant_cache::Tenants;
use crate::users_role::UsersRole;
use crate::users_role::backend::exchange::InboundRegistry;
use crate::web::directory::DirectoryWeb;
use crate::web::pages::Pages;
use crate::web::{ops, requests};
use crate::{clock, random, store};

/// TTL of the lease of a node, and how often it is renewed. A dead node is detected after this time.
const LEASE: Duration = Duration::from_secs(15);
const RENEW: Duration = Duration::from_secs(5);

/// On stop, least time for requests under way, in seconds.
const LEAST_SHUTDOWN: u64 = 5;

/// On stop, longest wait until the last timeline events are stored.
const LAST_EVENTS: Duration = Duration::from_secs(5);

/// The kernel ends a connection whose peer acknowledges nothing for this long.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Keepalive of the kernel. It detects dead app connections, which may be idle for hours
/// (`docs/protocol/appwebsocket.md` 7.4).
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Places of the operations listener: far more than Prometheus and probes need.
const OPS_PLACES: PlaceBounds = PlaceBounds { connections: 256, memory: 1 << 20 };

/// Most connections that wait to be accepted; the system may allow fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 8192;

/// Runs a broker until a signal stops it.
pub fn serve(config: Config) -> anyhow::Result<()> {
    actix_rt::System::new().block_on(async move {
        let shutdown = Shutdown::new();
        actix_rt::spawn(lifecycle::watch_signals(shutdown.clone()).context("signal handlers")?);
        let mut bound_config = config.clone();
        let broker = Broker::start(config, shutdown).await?;
        bound_config.move_listener(broker.public);
        if let Some(welcome) = pages::welcome(&bound_config, broker.public) {
            println!("{welcome}");
        }
        tracing::info!(listen = %broker.public, ops = %broker.ops, "serving");
        broker.finished().await
    })
}

/// Checks the files that the configuration names.
pub fn check_files(config: &Config) -> anyhow::Result<()> {
    pages::check_files(config)?;
    tls::identity(config).map(drop)
}

/// A running broker.
pub struct Broker {
    /// Where the public listener is bound.
    pub public: SocketAddr,
    /// Where the operations listener is bound.
    pub ops: SocketAddr,
    shutdown: Shutdown,
    server: ServerHandle,
    node: Arc<Node>,
    running: actix_rt::task::JoinHandle<std::io::Result<()>>,
    /// Task that renews the lease.
    renewal: actix_rt::task::JoinHandle<()>,
    stop: Lifecycle,
    /// The Users role stops when this is dropped.
    users_role: Option<Arc<UsersRole>>,
}

impl Broker {
    /// Opens the store, binds the listeners and serves. Port 0 is replaced by the port that the system chooses.
    pub async fn start(mut config: Config, shutdown: Shutdown) -> anyhow::Result<Self> {
        let public = bind(config.server.listen, "server.listen")?;
        let ops_listener = bind(config.server.ops_listen, "server.ops_listen")?;
        config.move_listener(public.local_addr()?);
        let device_pages = own_pages::bind_listener(&config)?;
        let own = OwnListener::bind(&config)?;
        let ops_address = ops_listener.local_addr()?;

        let store = connect(&config).await?;
        for domain in &config.domains {
            settings::check_new_categories(domain, store.domain(&domain.name).await?.as_ref())?;
            store.ensure_domain(&settings::domain(domain)).await.context("making the configured domains")?;
        }
        let service = directory_service(&config, &store)?;
        let node = node(&config, &store, &service)?;
        node.tenants().refresh().await.context("reading the domains")?;
        refuse_delivered(&config, &node)?;
        node.store().renew_lease(node.id(), LEASE).await.context("taking the lease of this node")?;
        shutdown.store_is(true);
        let recorder = recorder()?;
        let renewal = crate::app::periodic::every("renewal of the lease", RENEW, &node, |node| async move {
            node.store().renew_lease(node.id(), LEASE).await
        });
        crate::app::periodic::spawn(&node, config.quotas.devices, &shutdown, &recorder);

        let directory = config.plays(Role::Directory).then(|| {
            let routes = DirectoryWeb::new(Arc::clone(&service), Arc::clone(node.attempts()), clock::now);
            let node = Arc::clone(&node);
            web::Data::new(routes.with_found(move |code| {
                let node = Arc::clone(&node);
                actix_rt::spawn(async move { node.registration().record_found(code).await });
            }))
        });
        let admin = config
            .plays(Role::Devices)
            .then(|| Arc::new(Admin::new(admin_services(&node, &config), node.store().sealer())));
        let ops = ops::Ops { metrics: recorder, shutdown: shutdown.clone() };
        let tls = tls::start(&config, &node).await?;
        let exchange_backend = crate::app::users_role::exchanges(&config, &node, &shutdown)?;
        let inbound = exchange_backend.as_ref().map(|backend| backend.inbound_registry());
        let users_role = crate::app::users_role::start(&config, &node, exchange_backend, own.as_ref())?;
        let pages =
            pages::pages(&config, &node, &shutdown, admin.as_ref(), users_role.as_ref(), device_pages.as_ref()).await?;
        let routes = Routes { directory, admin, pages, ops, tls, inbound, device_pages, own };
        let server = server(&config, public.try_clone()?, ops_listener, &node, &shutdown, routes)?;
        let handle = server.handle();
        let running = actix_rt::spawn(server);
        shutdown.running();
        Ok(Self {
            public: public.local_addr()?,
            ops: ops_address,
            shutdown,
            server: handle,
            node,
            running,
            renewal,
            stop: config.lifecycle,
            users_role,
        })
    }

    /// The node, for tests and measurements.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The Users role, if this process plays it.
    pub fn users_role(&self) -> Option<&Arc<UsersRole>> {
        self.users_role.as_ref()
    }

    /// Waits for the stop, then drains connections and work under way at the configured rate, and returns.
    pub async fn finished(self) -> anyhow::Result<()> {
        let Self { shutdown, server, node, mut running, renewal, stop, users_role, .. } = self;
        tokio::select! {
            () = shutdown.draining() => {}
            ended = &mut running => return Ok(ended.context("server task")??),
        }
        // The listeners stay open, so that probes see that this node is stopping and new connections are refused at
        // once.
        tracing::info!(connections = node.connections().open(), "stopping: not ready any more");
        tokio::time::sleep(stop.drain_wait).await;
        if let Some(users_role) = users_role {
            users_role.stop();
        }
        tracing::info!(connections = node.connections().open(), "closing connections");
        draining::end_all(&node, stop.drain_per_second, stop.drain_max).await;
        // A renewal after the lease has ended would create it again.
        renewal.abort();
        let _ = renewal.await;
        match node.store().end_lease(node.id()).await {
            Ok(()) => draining::release_mailboxes(&node).await,
            Err(error) => tracing::warn!(%error, "lease of this node not ended; it expires"),
        }
        wait_until_empty(&node).await;
        server.stop(true).await;
        running.await.context("server task")??;
        // Requests that were under way may have added the last events.
        if tokio::time::timeout(LAST_EVENTS, node.registration().events_written()).await.is_err() {
            tracing::warn!("timeline events were lost at the stop");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Waits, 3 s at most, until the connections have exchanged their close frames. The others end with the process.
async fn wait_until_empty(node: &Node) {
    let mut check = interval(Duration::from_millis(20));
    for _ in 0..150 {
        if node.connections().open() == 0 {
            return;
        }
        check.tick().await;
    }
}

/// Worker threads of the listeners.
fn workers(config: &Config) -> usize {
    match config.server.workers {
        0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        workers => workers,
    }
}

async fn connect(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let url = match &config.store.url {
        StoreUrl::Embedded(path) => format!("embedded:{}", path.display()),
        StoreUrl::Redis(address) => address.expose().to_owned(),
    };
    // One connection for each thread that uses the store: the workers, and this one.
    let lanes = workers(config) + 1;
    let options = store::Options {
        deadline: config.store.deadline,
        lanes,
        cache: config.store.cache,
        limits: settings::store_limits(config),
        ..store::Options::default()
    };
    store::connect(&url, &master_keys(config), &options).await.context("store.url")
}

/// What opens the store.
fn master_keys(config: &Config) -> store::MasterKeys {
    store::MasterKeys {
        master: config.security.master_key.clone(),
        previous: config.security.previous_keys.clone(),
        password: config.instance.password.clone(),
    }
}

fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        let what_to_do = match error.kind() {
            ErrorKind::AddrInUse => "stop the program that uses the port, or choose another port",
            ErrorKind::AddrNotAvailable => "choose an address of this machine",
            ErrorKind::PermissionDenied => "choose a port from 1024 on, or permit the program lower ports",
            _ => "choose another address",
        };
        anyhow::anyhow!("{key}: cannot listen on {address} ({error}); {what_to_do}")
    })?;
    listener.set_nonblocking(true)?;
    // The standard library listens with 128; listening again replaces that.
    SockRef::from(&listener).listen(BACKLOG)?;
    set_socket_options(&listener).with_context(|| format!("{key}: options of the listener"))?;
    Ok(listener)
}

/// Refuses to start while a domain in the store has a delivered secret and others than this machine reach the service.
fn refuse_delivered(config: &Config, node: &Node) -> anyhow::Result<()> {
    match (config.way_in(), node.tenants().with_delivered()) {
        (Some(way_in), Some(domain)) => anyhow::bail!(
            "domain {domain} in the store has a delivered password or token, which works on loopback only, not with {way_in}; \
             change it first (`provbroker ctl domains change`), with a configuration that is on loopback only"
        ),
        _ => Ok(()),
    }
}

fn directory_service(config: &Config, store: &Arc<dyn Store>) -> anyhow::Result<Arc<DirectoryService>> {
    let listings: Arc<dyn store::DirectoryRecords> = Arc::clone(store) as _;
    let service = DirectoryService::new(listings, settings::directory(config)).context("[directory]")?;
    Ok(Arc::new(service.with_gauge(|open| metrics::set(Gauge::ListingsOpen, open))))
}

fn node(config: &Config, store: &Arc<dyn Store>, service: &Arc<DirectoryService>) -> anyhow::Result<Arc<Node>> {
    let address = config.sysclients_url();
    let directory: Arc<dyn Directory> = if config.directory.url.is_empty() {
        Arc::new(LocalDirectory::new(Arc::clone(service), address).context("server.public_url")?)
    } else {
        let credential = Some(&config.directory.credential).filter(|c| !c.is_empty());
        let remote = RemoteDirectory::new(&config.directory.url, credential, address, config.directory.timeout);
        Arc::new(remote.context("[directory]")?)
    };
    let id = NodeId::new(&match config.server.node.as_str() {
        "" => random::guid(),
        // A restarted node gets a new id, because leases and presences of the old process are not its own.
        name => format!("{name}-{}", random::letters_and_digits(8).expose()),
    });
    let tenants = Tenants::new(Arc::clone(store));
    let tenants = Arc::new(if config.is_loopback_only() { tenants } else { tenants.without_delivered() });
    let attempts = Arc::new(AttemptService::new(Arc::clone(store) as _, settings::attempt_rules(config), clock::now));
    let registration = RegistrationService::new(
        Arc::clone(store),
        Arc::clone(&tenants),
        directory,
        Arc::clone(&attempts),
        settings::codes(config),
    );
    Ok(Node::start(NodeParts {
        id,
        store: Arc::clone(store),
        tenants,
        registration,
        attempts,
        connections: ConnectionTable::new(settings::capacity(config)),
        admission: AdmissionController::new(settings::admission(config)),
        settings: settings::node(config),
    }))
}

/// What operators' calls use of the node.
fn admin_services(node: &Node, config: &Config) -> admin::Services {
    admin::Services {
        store: Arc::clone(node.store()),
        tenants: Arc::clone(node.tenants()),
        directory: Arc::clone(node.directory()),
        attempts: Arc::clone(node.attempts()),
        registration: Arc::clone(node.registration()),
        connections: Arc::clone(node.connections()),
        admission: Arc::clone(node.admission()),
        instance: node.apps().instance.clone(),
        quotas: settings::quotas(config),
        retry: node.devices().retry,
    }
}

/// The recorder of the process; there can only be one.
fn recorder() -> anyhow::Result<PrometheusHandle> {
    static RECORDER: OnceLock<RwLock<Option<PrometheusHandle>>> = OnceLock::new();
    let recorder = RECORDER.get_or_init(RwLock::default);
    let mut recorder = recorder.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*recorder {
        return Ok(handle.clone());
    }
    let handle = metrics::install().context("metrics")?;
    *recorder = Some(handle.clone());
    Ok(handle)
}

/// What the listeners serve in addition to WebSockets.
struct Routes {
    directory: Option<web::Data<DirectoryWeb>>,
    admin: Option<Arc<Admin>>,
    pages: Option<web::Data<Pages>>,
    ops: ops::Ops,
    /// TLS of the public listener; `None`: plain TCP.
    tls: Option<Tls>,
    /// Registry for exchanges that connect to this process.
    inbound: Option<InboundRegistry>,
    /// Listener for devices' own pages.
    device_pages: Option<own_pages::OwnPagesAddress>,
    /// Listener for components of this process.
    own: Option<OwnListener>,
}

fn server(
    config: &Config,
    public: TcpListener,
    ops_listener: TcpListener,
    node: &Arc<Node>,
    shutdown: &Shutdown,
    routes: Routes,
) -> anyhow::Result<Server> {
    let Routes { directory, admin, pages, ops, tls, inbound, device_pages, own } = routes;
    let proxies = settings::proxies(config);
    let own_pages = pages.as_ref().and_then(|pages| pages.own_pages.clone());
    let public_site = crate::app::public_site::PublicSite {
        node: Arc::clone(node),
        shutdown: shutdown.clone(),
        devices: config.plays(Role::Devices),
        directory,
        admin,
        pages,
        inbound,
        rules: settings::listener_rules(config, &proxies),
    };
    let admission = Arc::clone(node.admission());
    let http = Arc::new(HttpPlaces::new(PlaceKind::Http, settings::http_places(config)));
    let ops_places = Arc::new(HttpPlaces::new(PlaceKind::Ops, OPS_PLACES));
    crate::app::periodic::report_places(node, [&http, &ops_places]);
    let stocks = PlaceStocks { http, websockets: Arc::clone(node.connections()) };
    let builder = Server::build()
        .disable_signals()
        // The gate has its own limits. This one would block all listeners of a worker, including the operations
        // listener.
        .max_concurrent_connections(usize::MAX >> 1)
        // Requests under way are finished.
        .shutdown_timeout(config.lifecycle.drain_max.as_secs().max(LEAST_SHUTDOWN))
        .workers(workers(config));
    let builder = match (device_pages, own_pages) {
        (Some(place), Some(pages)) => {
            let gate =
                GateParts { admission: Arc::clone(&admission), stocks: stocks.clone(), proxies: proxies.clone() };
            own_pages::listen(builder, place.listener, pages, tls.clone(), gate)?
        }
        _ => builder,
    };
    let builder = match own {
        Some(own) => own.listen(builder, public_site.clone())?,
        None => builder,
    };
    let gate = GateParts { admission, stocks, proxies };
    let builder = match tls {
        Some(tls) => builder.listen("public", public, move || {
            let inner = tls.service().and_then(metered()).and_then(public_site.http());
            Gate::new(inner, gate.clone(), false)
        })?,
        None => builder.listen("public", public, move || {
            let inner = plain().and_then(metered()).and_then(public_site.http());
            Gate::new(inner, gate.clone(), true)
        })?,
    };
    let server = builder.listen("ops", ops_listener, move || {
        let app = App::new().wrap(from_fn(requests::watch)).configure(ops::routes(ops.clone()));
        let http = HttpService::build().client_disconnect_timeout(LINGER);
        let http = http.finish(map_config(app, |()| AppConfig::default()));
        Unguarded::new(plain().and_then(metered()).and_then(http), Arc::clone(&ops_places))
    })?;
    Ok(server.run())
}

/// Connections that speak HTTP from the first byte on.
fn plain() -> impl ServiceFactory<
    Passed,
    Config = (),
    Response = (ClientStream, Protocol, Option<SocketAddr>),
    Error = DispatchError,
    InitError = (),
> {
    fn_service(|(io, peer): Passed| async move { Ok((io, Protocol::Http1, peer)) })
}

/// Lets the connection of a stream count what is read from it.
#[expect(clippy::type_complexity, reason = "the service has no name")]
fn metered<T: 'static>() -> impl ServiceFactory<
    (T, Protocol, Option<SocketAddr>),
    Config = (),
    Response = (Metered<T>, Protocol, Option<SocketAddr>),
    Error = DispatchError,
    InitError = (),
> {
    // Asked for while the connection is served, and not before.
    fn_service(|(io, protocol, peer): (T, Protocol, Option<SocketAddr>)| async move {
        Ok((Metered::new(io), protocol, peer))
    })
}

/// Sets the options on the listener. Linux copies them to accepted connections, which saves four system calls for each.
fn set_socket_options(listener: &TcpListener) -> std::io::Result<()> {
    let socket = SockRef::from(listener);
    let keepalive = socket2::TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))
}
