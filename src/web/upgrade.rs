//! Handles `Upgrade: websocket` on the raw socket: routes by path and starts a connection actor.
//!
//! The HTTP dispatcher hands over the socket and ends; one task with the actor remains (`connection::socket`). All
//! upgrade requests of the public listener come here, so this module also answers those that it refuses
//! (`docs/protocol/sysclient.md` section 1, `docs/protocol/appwebsocket.md` section 1).

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_codec::Framed;
use actix_http::{HttpMessage as _, Request, h1, ws};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use crate::app_connection::actor::AppActor;
use crate::connection::client_stream::Encrypted;
use crate::connection::handle::ConnectionHandle;
use crate::connection::http::{HttpConnection, Metered};
use crate::connection::places::NoPlace;
use crate::connection::socket::{Opening, run};
use crate::connection::table::ConnectionSlot;
use crate::core::model::ids::DomainName;
use crate::core::protocol::percent;
use crate::core::session::app::rights::Instance;
use crate::core::session::device::query::Query;
use crate::device::actor::DeviceActor;
use crate::lifecycle::Shutdown;
use crate::metrics::{self, Counter, Peer, Refusal};
use crate::node::Node;
use crate::users_role::backend::exchange::InboundRegistry;
use crate::users_role::exchange_connection::{ExchangeConnection, ExchangeServices};
use crate::web::client_address::{Client, ListenerRules};
use crate::web::entrance::names_this_machine;
use crate::web::passthrough::{Passthrough, after_passthrough, pipe};

/// Time limit for a refused client to read the answer.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Target of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Devices,
    Apps,
    /// An exchange, or a user of it, at the Users instance.
    ExchangeConnection,
}

/// Roles of this process that are served by upgrades.
#[derive(Debug, Clone, Copy)]
pub struct Roles<'a> {
    /// It plays Devices.
    pub devices: bool,
    /// It plays Users, and exchanges connect to it.
    pub inbound: Option<&'a InboundRegistry>,
}

/// Reads `/{domain}/{instance}`, `/{domain}/{instance}/{app}` and `/{domain}/{instance}/sysclients`. The first two
/// exist for the instance of Users, too.
fn route(path: &str, instance: &Instance, users: Option<&str>) -> Option<Route> {
    let path = path.strip_prefix('/')?;
    let parts: Vec<_> = path.trim_end_matches('/').split('/').map(percent::decode).collect::<Result<_, _>>().ok()?;
    let (domain, name, rest) = match &parts[..] {
        [domain, name] => (domain, name, None),
        [domain, name, rest] => (domain, name, Some(rest.as_str())),
        _ => return None,
    };
    if DomainName::parse(domain).ok()? != instance.domain {
        return None;
    }
    if users.is_some_and(|users| *name == *users) {
        return (!matches!(rest, Some("sysclients" | "passthrough"))).then_some(Route::ExchangeConnection);
    }
    if *name != *instance.name {
        return None;
    }
    match rest {
        Some("sysclients") => Some(Route::Devices),
        Some("passthrough") => None,
        _ => Some(Route::Apps),
    }
}

/// Why an upgrade was refused.
struct Refused {
    status: &'static str,
    fields: String,
    reason: Refusal,
}

impl Route {
    const fn peer(self) -> Peer {
        match self {
            Self::Devices => Peer::Device,
            Self::Apps | Self::ExchangeConnection => Peer::App,
        }
    }
}

impl Refused {
    fn new(status: &'static str, reason: Refusal) -> Self {
        Self { status, fields: String::new(), reason }
    }

    fn retry_after(status: &'static str, reason: Refusal, wait: Duration) -> Self {
        // Rounded up, so that clients do not come too early.
        let fields = format!("Retry-After: {}\r\n", wait.as_millis().div_ceil(1000).max(1));
        Self { fields, ..Self::new(status, reason) }
    }
}

/// What upgrades use of the node.
#[derive(Clone)]
pub struct Upgrades {
    /// The node with the services of its connections.
    pub node: Arc<Node>,
    /// What passthrough addresses use.
    pub passthrough: Arc<Passthrough>,
    /// What the connection of an exchange uses.
    pub exchange: ExchangeServices,
    /// Who may use the listener, and whose word about addresses counts.
    pub rules: Arc<ListenerRules>,
}

/// Serves one upgrade request. A process that plays neither Devices nor a Users role that exchanges connect to has
/// nothing to upgrade to.
pub fn upgrade<T>(
    services: &Upgrades,
    roles: Roles<'_>,
    shutdown: &Shutdown,
    request: Request,
    framed: Framed<Metered<T>, h1::Codec>,
) -> Ready<Result<(), Infallible>>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let parts = framed.into_parts();
    let (io, connection) = parts.io.into_parts();
    let encrypted = request.conn_data::<Encrypted>().is_some();
    let client = services.rules.client(request.peer_addr(), encrypted, request.headers());
    let raw = request.uri().path_and_query().map_or("", |target| target.as_str());
    if let Some(rest) = after_passthrough(raw, &services.passthrough.instance)
        .filter(|_| roles.devices && services.rules.may_enter(request.headers()))
        .map(str::to_owned)
    {
        let first = parts.read_buf.freeze();
        let passthrough = Arc::clone(&services.passthrough);
        spawn_at(connection, async move { pipe::carry(&passthrough, &request, &rest, io, first).await });
        return ready(Ok(()));
    }
    let first = parts.read_buf.freeze();
    // The buffers of the dispatcher are freed when this returns; only the socket and the actor stay.
    drop(parts.write_buf);
    let wanted = wanted(services, roles, shutdown, &request, client);
    match wanted.map(|wanted| (place(&services.node, &wanted), wanted)) {
        Ok((Ok(slot), wanted)) => wanted.start(io, first, slot, services, roles.inbound, shutdown),
        // Somebody may give way in a moment.
        Ok((Err(NoPlace::Yet(after)), wanted)) => {
            let (services, inbound, shutdown) = (services.clone(), roles.inbound.cloned(), shutdown.clone());
            spawn_at(connection, async move {
                sleep(after).await;
                match place(&services.node, &wanted) {
                    Ok(slot) => wanted.start(io, first, slot, &services, inbound.as_ref(), &shutdown),
                    Err(_) => refuse(io, &too_many(&services.node)).await,
                }
            });
        }
        Ok((Err(NoPlace::Left), _)) => {
            let refused = too_many(&services.node);
            spawn_at(connection, async move { refuse(io, &refused).await });
        }
        Err(refused) => spawn_at(connection, async move { refuse(io, &refused).await }),
    }
    ready(Ok(()))
}

/// Runs a task that keeps the place of the HTTP connection.
fn spawn_at(connection: Option<Rc<HttpConnection>>, task: impl Future<Output = ()> + 'static) {
    actix_rt::spawn(async move {
        match connection {
            Some(connection) => connection.hold(task).await,
            None => task.await,
        }
    });
}

fn place(node: &Node, wanted: &Wanted) -> Result<ConnectionSlot, NoPlace> {
    node.connections().admit(wanted.route.peer(), wanted.client.source())
}

fn too_many(node: &Node) -> Refused {
    Refused::retry_after("503 Service Unavailable", Refusal::TooMany, node.admission().retry_after())
}

/// An upgrade for which there only has to be a place.
struct Wanted {
    route: Route,
    answer: String,
    query: Query,
    client: Client,
}

impl Wanted {
    /// Starts the task of the connection. The task is kept small because it lives as long as the connection.
    fn start<T>(
        self,
        io: T,
        first: bytes::Bytes,
        slot: ConnectionSlot,
        services: &Upgrades,
        inbound: Option<&InboundRegistry>,
        shutdown: &Shutdown,
    ) where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Self { route, answer, query, client } = self;
        let source = client.source();
        let opening = Opening { answer: answer.into(), first };
        let conn = slot.conn;
        match route {
            Route::Devices => {
                let devices = Arc::clone(services.node.devices());
                let bounds = devices.bounds;
                let handle = ConnectionHandle::with_slot(bounds.longest, slot);
                let device = DeviceActor::new(devices, conn, source, query, handle.clone());
                actix_rt::spawn(run(io, opening, device, handle, bounds));
            }
            Route::Apps => {
                let apps = Arc::clone(services.node.apps());
                let bounds = apps.bounds;
                let handle = ConnectionHandle::with_slot(apps.session.longest_before, slot);
                let app = AppActor::new(apps, conn, Some(source).filter(|_| !client.own), handle.clone())
                    .opened_from(Some(client.address));
                actix_rt::spawn(run(io, opening, app, handle, bounds));
            }
            Route::ExchangeConnection => {
                // This route exists only if exchanges may connect.
                let Some(inbound) = inbound.cloned() else { return };
                let exchange = services.exchange.clone();
                let bounds = exchange.bounds;
                let handle = ConnectionHandle::with_slot(exchange.longest_before, slot);
                let exchange = ExchangeConnection::new(exchange, inbound, source, handle.clone(), shutdown.clone());
                actix_rt::spawn(run(io, opening, exchange, handle, bounds));
            }
        }
    }
}

fn wanted(
    services: &Upgrades,
    roles: Roles<'_>,
    shutdown: &Shutdown,
    request: &Request,
    client: Client,
) -> Result<Wanted, Refused> {
    let (node, rules) = (&services.node, &services.rules);
    if !rules.may_enter(request.headers()) {
        return Err(Refused::new("403 Forbidden", Refusal::UnknownPath));
    }
    let users = roles.inbound.map(|inbound| &*inbound.settings().instance);
    let route = route(request.path(), &node.apps().instance, users);
    let route = route.filter(|route| roles.devices || *route == Route::ExchangeConnection);
    let route = route.ok_or_else(|| Refused::new("404 Not Found", Refusal::UnknownPath))?;
    let delivered = || rules.delivered || node.tenants().with_delivered().is_some();
    if route != Route::Devices && !client.own && !names_this_machine(request.headers()) && delivered() {
        return Err(Refused::new("421 Misdirected Request", Refusal::Host));
    }
    if shutdown.is_draining() {
        return Err(Refused::retry_after("503 Service Unavailable", Refusal::Draining, node.admission().retry_after()));
    }
    let key = match ws::verify_handshake(request.head()) {
        Ok(()) => request.headers().get("sec-websocket-key").map(|k| ws::hash_key(k.as_bytes())),
        Err(ws::HandshakeError::UnsupportedVersion | ws::HandshakeError::NoVersionHeader) => {
            let fields = "Sec-WebSocket-Version: 13\r\n".into();
            return Err(Refused { fields, ..Refused::new("426 Upgrade Required", Refusal::BadUpgrade) });
        }
        Err(_) => None,
    };
    let key = key.ok_or_else(|| Refused::new("400 Bad Request", Refusal::BadUpgrade))?;
    // Written by hand: known clients require exactly these spellings, one blank, and less than 1024 bytes
    // (`docs/protocol/sysclient.md` 1.2).
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        String::from_utf8_lossy(&key)
    );
    let query = match route {
        Route::Devices => Query::read(request.uri().query().unwrap_or_default()),
        Route::Apps | Route::ExchangeConnection => Query::None,
    };
    Ok(Wanted { route, answer, query, client })
}

/// Answers with the refusal and ends the connection.
async fn refuse<T>(io: T, refused: &Refused)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    metrics::count(Counter::Refused(refused.reason));
    // A client that does not read its answer misses it.
    let _ = timeout(REFUSAL_TIMEOUT, write_refusal(io, refused)).await;
}

async fn write_refusal<T>(mut io: T, refused: &Refused) -> std::io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let Refused { status, fields, .. } = refused;
    let body = status.get(4..).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{fields}Connection: close\r\n\r\n{body}",
        body.len()
    );
    io.write_all(answer.as_bytes()).await?;
    io.shutdown().await?;
    // Waits until the client has closed, too, so that a reset does not overtake the answer.
    let mut rest = [0; 512];
    while io.read(&mut rest).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ids::Secret;

    #[test]
    fn routes() {
        let domain = DomainName::parse("example.com").unwrap();
        let instance = Instance { domain, name: "devices".into(), password: Secret::default() };
        for (path, expected) in [
            ("/example.com/devices/sysclients", Some(Route::Devices)),
            ("/EXAMPLE.com/devices/sysclients", Some(Route::Devices)),
            ("/example.com/devices", Some(Route::Apps)),
            ("/example.com/devices/", Some(Route::Apps)),
            ("/example.com/devices/innovaphone-devices-api", Some(Route::Apps)),
            ("/example.com/devices/passthrough", None),
            ("/example.com/other/sysclients", None),
            ("/example.net/devices/sysclients", None),
            ("/example.com/devices/a/b", None),
            ("/", None),
        ] {
            assert_eq!(route(path, &instance, None), expected, "{path}");
            assert_eq!(route(path, &instance, Some("users")), expected, "{path}");
        }
        for (path, expected) in [
            ("/example.com/users", Some(Route::ExchangeConnection)),
            ("/Example.com/users/innovaphone-users", Some(Route::ExchangeConnection)),
            ("/example.com/users/sysclients", None),
            ("/example.net/users", None),
        ] {
            assert_eq!(route(path, &instance, Some("users")), expected, "{path}");
            assert_eq!(route(path, &instance, None), None, "{path}");
        }
    }
}
