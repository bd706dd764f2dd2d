//! Wiring: makes a running broker out of a configuration. The only place that names concrete stores and directories.

mod own_pages;
mod pages;
mod periodic;
mod public_site;
mod settings;
mod tls;
mod users_role;

use std::future::ready;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use actix_http::{HttpService, Protocol};
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, web};
use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use socket2::SockRef;
use tokio::time::interval;

use crate::admin::{self, Admin};
use crate::admission::controller::AdmissionController;
use crate::config::{Config, Lifecycle, Role, StoreUrl};
use crate::connection::accept_gate::{Gate, Passed};
use crate::connection::table::ConnectionTable;
use crate::connection::tls::Tls;
use crate::core::model::ids::NodeId;
use crate::directory::{Directory, DirectoryService, LocalDirectory, RemoteDirectory};
use crate::lifecycle::{self, Shutdown};
use crate::metrics::{self, Gauge};
use crate::node::{Node, NodeParts, draining};
use crate::registration::RegistrationService;
use crate::registration::attempt_limiter::AttemptLimiter;
use crate::store::Store;
use crate::store::seal::Sealer;
use crate::tenant_cache::Tenants;
use crate::users_role::UsersRole;
use crate::users_role::backend::exchange::InboundRegistry;
use crate::web::directory::DirectoryWeb;
use crate::web::ops;
use crate::web::pages::Pages;
use crate::{clock, random, store};

/// Lease of a node, and how often it is renewed. A node that dies is known to be dead after this time.
const LEASE: Duration = Duration::from_secs(15);
const RENEW: Duration = Duration::from_secs(5);

/// Seconds that requests have at least to end by themselves on a stop.
const LEAST_SHUTDOWN: u64 = 5;

/// The last steps for the timelines are waited for this long; longer only if the store does not answer.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// A connection whose peer acknowledges nothing for this long is dead for the kernel.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// App connections may be silent for hours; the kernel finds the dead ones (`docs/protocol/appwebsocket.md` 7.4).
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Connections that wait to be accepted; the system may allow fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 8192;

/// Runs a broker until it is told to stop.
pub fn serve(config: Config) -> anyhow::Result<()> {
    actix_rt::System::new().block_on(async move {
        let shutdown = Shutdown::new();
        actix_rt::spawn(lifecycle::watch_signals(shutdown.clone()).context("signal handlers")?);
        let mut told = config.clone();
        let broker = Broker::start(config, shutdown).await?;
        told.move_listener(broker.public);
        if let Some(welcome) = pages::welcome(&told, broker.public) {
            println!("{welcome}");
        }
        tracing::info!(listen = %broker.public, ops = %broker.ops, "serving");
        broker.finished().await
    })
}

/// Whether the files that the configuration names can be used.
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
    /// Renews the lease.
    renewal: actix_rt::task::JoinHandle<()>,
    stop: Lifecycle,
    /// Works as long as this lives.
    people: Option<Arc<UsersRole>>,
}

impl Broker {
    /// Opens the store, binds the listeners and serves. Port 0 is replaced by what the system gives.
    pub async fn start(mut config: Config, shutdown: Shutdown) -> anyhow::Result<Self> {
        let public = bind(config.server.listen, "server.listen")?;
        let ops_listener = bind(config.server.ops_listen, "server.ops_listen")?;
        config.move_listener(public.local_addr()?);
        let device_pages = own_pages::place(&config)?;
        let ops_address = ops_listener.local_addr()?;

        let store = connect(&config).await?;
        for domain in &config.domains {
            store.ensure_domain(&settings::domain(domain)).await.context("making the configured domains")?;
        }
        let service = directory_service(&config, &store)?;
        let node = node(&config, &store, &service)?;
        node.tenants().refresh().await.context("reading the domains")?;
        node.store().renew_lease(node.id(), LEASE).await.context("taking the lease of this node")?;
        shutdown.store_is(true);
        let recorder = recorder()?;
        let renewal = crate::app::periodic::every("renewal of the lease", RENEW, &node, |node| async move {
            node.store().renew_lease(node.id(), LEASE).await
        });
        crate::app::periodic::spawn(&node, &shutdown, &recorder);

        let directory = config.plays(Role::Directory).then(|| {
            let routes = DirectoryWeb::new(Arc::clone(&service), &settings::wrong_codes(&config), clock::now);
            let node = Arc::clone(&node);
            web::Data::new(routes.with_found(move |code| {
                let node = Arc::clone(&node);
                actix_rt::spawn(async move { node.registration().record_found(code).await });
            }))
        });
        let admin = config
            .plays(Role::Devices)
            .then(|| Arc::new(Admin::new(admin_services(&node), Sealer::new(&config.master_key()))));
        let ops = ops::Ops { metrics: recorder, shutdown: shutdown.clone() };
        let tls = tls::start(&config, &node).await?;
        let pbx = crate::app::users_role::exchanges(&config, &node, &shutdown)?;
        let inbound_registry = pbx.as_ref().map(|pbx| pbx.inbound_registry());
        let people = crate::app::users_role::start(&config, &node, pbx)?;
        let pages =
            pages::pages(&config, &node, &shutdown, admin.as_ref(), people.as_ref(), device_pages.as_ref()).await?;
        let routes = Routes { directory, admin, pages, ops, tls, inbound_registry, device_pages };
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
            people,
        })
    }

    /// The node, for those who look behind the listeners.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The Users role, if this process plays it.
    pub fn people(&self) -> Option<&Arc<UsersRole>> {
        self.people.as_ref()
    }

    /// Waits for the stop, then ends the connections and what was under way on them at the configured pace, and returns.
    pub async fn finished(self) -> anyhow::Result<()> {
        let Self { shutdown, server, node, mut running, renewal, stop, people, .. } = self;
        tokio::select! {
            () = shutdown.draining() => {}
            ended = &mut running => return Ok(ended.context("server task")??),
        }
        // The listeners stay open: probes have to hear that this node is stopping, and whoever connects is sent away at once.
        tracing::info!(connections = node.connections().open(), "not ready any more");
        tokio::time::sleep(stop.drain_wait).await;
        if let Some(people) = people {
            people.stop();
        }
        tracing::info!(connections = node.connections().open(), "closing connections");
        draining::end_all(&node, stop.drain_per_second, stop.drain_max).await;
        // Otherwise it might come back for another while.
        renewal.abort();
        let _ = renewal.await;
        match node.store().end_lease(node.id()).await {
            Ok(()) => draining::release_mailboxes(&node).await,
            Err(error) => tracing::warn!(%error, "lease of this node not ended; it ends by its time"),
        }
        wait_until_empty(&node).await;
        server.stop(true).await;
        running.await.context("server task")??;
        // Requests that were under way may have been the last to add some.
        if tokio::time::timeout(LAST_STEPS, node.registration().events_written()).await.is_err() {
            tracing::warn!("steps of timelines were lost");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Connections that were told to end linger for their close frames; the last stragglers are cut with the process.
async fn wait_until_empty(node: &Node) {
    let mut look = interval(Duration::from_millis(20));
    for _ in 0..150 {
        if node.connections().open() == 0 {
            return;
        }
        look.tick().await;
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
    // One for each thread that asks: the workers, and this one.
    let lanes = workers(config) + 1;
    let options = store::Options {
        deadline: config.store.deadline,
        lanes,
        cache: config.store.cache,
        ..store::Options::default()
    };
    store::connect(&url, Sealer::new(&config.master_key()), &options).await.context("store.url")
}

fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        let what_to_do = match error.kind() {
            ErrorKind::AddrInUse => "stop what uses the port, or choose another",
            ErrorKind::AddrNotAvailable => "choose an address that this machine has",
            ErrorKind::PermissionDenied => "choose a port from 1024 on, or give the program the right to lower ones",
            _ => "choose another address",
        };
        anyhow::anyhow!("{key}: cannot listen on {address} ({error}); {what_to_do}")
    })?;
    listener.set_nonblocking(true)?;
    // The standard library asks for 128, and the server takes a listener as it is.
    SockRef::from(&listener).listen(BACKLOG)?;
    set_socket_options(&listener).with_context(|| format!("{key}: options of the listener"))?;
    Ok(listener)
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
        // A restarted node is another one: what the old one held is not here.
        name => format!("{name}-{}", random::letters_and_digits(8).expose()),
    });
    let tenants = Arc::new(Tenants::new(Arc::clone(store)));
    let attempt_limiter = Arc::new(AttemptLimiter::new(&settings::attempt_limits(config)));
    let registration = RegistrationService::new(
        Arc::clone(store),
        Arc::clone(&tenants),
        directory,
        attempt_limiter,
        settings::codes(config),
    );
    Ok(Node::start(NodeParts {
        id,
        store: Arc::clone(store),
        tenants,
        registration,
        connections: ConnectionTable::new(settings::capacity(config)),
        admission: AdmissionController::new(settings::admission(config)),
        settings: settings::node(config),
    }))
}

/// What operators' calls use of the node.
fn admin_services(node: &Node) -> admin::Services {
    admin::Services {
        store: Arc::clone(node.store()),
        tenants: Arc::clone(node.tenants()),
        directory: Arc::clone(node.directory()),
        registration: Arc::clone(node.registration()),
        connections: Arc::clone(node.connections()),
        admission: Arc::clone(node.admission()),
        instance: node.apps().instance.clone(),
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

/// What the listeners serve beside WebSockets.
struct Routes {
    directory: Option<web::Data<DirectoryWeb>>,
    admin: Option<Arc<Admin>>,
    pages: Option<web::Data<Pages>>,
    ops: ops::Ops,
    /// What the public listener speaks HTTP over, if not TCP itself.
    tls: Option<Tls>,
    /// Where PBXs are taken to that connect.
    inbound_registry: Option<InboundRegistry>,
    /// Where devices' own pages are served.
    device_pages: Option<own_pages::OwnPagesAddress>,
}

fn server(
    config: &Config,
    public: TcpListener,
    ops_listener: TcpListener,
    node: &Arc<Node>,
    shutdown: &Shutdown,
    routes: Routes,
) -> anyhow::Result<Server> {
    let Routes { directory, admin, pages, ops, tls, inbound_registry, device_pages } = routes;
    let own = pages.as_ref().and_then(|pages| pages.own_pages.clone());
    let public_site = crate::app::public_site::PublicSite {
        node: Arc::clone(node),
        shutdown: shutdown.clone(),
        devices: config.plays(Role::Devices),
        directory,
        admin,
        pages,
        inbound_registry,
    };
    let admission = Arc::clone(node.admission());
    let builder = Server::build()
        .disable_signals()
        // The gate has its own bounds. The server's would hold up every listener of a worker, that for operations too.
        .max_concurrent_connections(usize::MAX >> 1)
        // Requests that are under way are finished.
        .shutdown_timeout(config.lifecycle.drain_max.as_secs().max(LEAST_SHUTDOWN))
        .workers(workers(config));
    let builder = match (device_pages, own) {
        (Some(place), Some(own)) => {
            own_pages::listen(builder, place.listener, own, tls.clone(), Arc::clone(&admission))?
        }
        _ => builder,
    };
    let builder = match tls {
        Some(tls) => builder.listen("public", public, move || {
            Gate::new(tls.service().and_then(public_site.http()), Arc::clone(&admission), false)
        })?,
        None => builder.listen("public", public, move || {
            let plain = fn_service(|(io, peer): Passed| ready(Ok((io, Protocol::Http1, peer))));
            Gate::new(plain.and_then(public_site.http()), Arc::clone(&admission), true)
        })?,
    };
    let server = builder.listen("ops", ops_listener, move || {
        let app = App::new().configure(ops::routes(ops.clone()));
        HttpService::build().finish(map_config(app, |()| AppConfig::default())).tcp()
    })?;
    Ok(server.run())
}

/// Linux hands them on to every connection that is accepted, so that none costs four calls of the system.
fn set_socket_options(listener: &TcpListener) -> std::io::Result<()> {
    let socket = SockRef::from(listener);
    let keepalive = socket2::TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))
}
