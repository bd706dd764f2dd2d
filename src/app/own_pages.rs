//! The listener for devices' own pages. It has its own origin and the same admission gate as the public listener.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::ServerBuilder;
use actix_service::{ServiceFactory, ServiceFactoryExt as _, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

use super::{bind, metered, plain};
use crate::config::{Config, Role};
use crate::connection::accept_gate::{Gate, GateParts};
use crate::connection::http::{LINGER, Metered};
use crate::connection::tls::Tls;
use crate::core::protocol::loopback::is_loopback;
use crate::web::pages::own_pages::{OwnPages, routes};
use crate::web::requests::watch;

/// Listener for devices' own pages, and its origin for browsers.
pub(super) struct OwnPagesAddress {
    pub listener: TcpListener,
    pub origin: String,
}

/// Binds the listener. `None` if there are no pages, or if browsers of the pages could not reach the listener.
pub(super) fn bind_listener(config: &Config) -> anyhow::Result<Option<OwnPagesAddress>> {
    let pages = &config.pages;
    let public_is_loopback = Url::parse(&config.server.public_url).is_ok_and(|url| is_loopback(&url));
    let unreachable = pages.device_url.is_empty() && pages.device_listen.ip().is_loopback() && !public_is_loopback;
    if !pages.enabled || !config.plays(Role::Devices) || unreachable {
        return Ok(None);
    }
    let listener = bind(pages.device_listen, "pages.device_listen")?;
    let scheme = if config.tls.is_on() { "https" } else { "http" };
    let origin = match Url::parse(&pages.device_url) {
        Ok(url) => url.origin().ascii_serialization(),
        Err(_) => format!("{scheme}://{}", listener.local_addr()?),
    };
    Ok(Some(OwnPagesAddress { listener, origin }))
}

/// Adds the listener to the server.
pub(super) fn listen(
    builder: ServerBuilder,
    listener: TcpListener,
    own: Arc<OwnPages>,
    tls: Option<Tls>,
    gate: GateParts,
) -> std::io::Result<ServerBuilder> {
    let own = web::Data::from(own);
    match tls {
        Some(tls) => builder.listen("device pages", listener, move || {
            let inner = tls.service().and_then(metered()).and_then(http(own.clone()));
            Gate::new(inner, gate.clone(), false)
        }),
        None => builder.listen("device pages", listener, move || {
            let inner = plain().and_then(metered()).and_then(http(own.clone()));
            Gate::new(inner, gate.clone(), true)
        }),
    }
}

fn http<T>(
    own: web::Data<OwnPages>,
) -> impl ServiceFactory<
    (Metered<T>, Protocol, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = DispatchError,
    InitError = (),
> + use<T>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    HttpService::build()
        .h1_allow_half_closed(false)
        .client_disconnect_timeout(LINGER)
        .finish(map_config(App::new().wrap(from_fn(watch)).configure(routes(own)), |()| AppConfig::default()))
}
