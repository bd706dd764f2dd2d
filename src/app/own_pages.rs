//! The listener for devices' own pages: an origin of its own, behind the same gate as the public one.

use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::ServerBuilder;
use actix_service::{ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, web};
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

use super::bind;
use crate::admission::controller::AdmissionController;
use crate::config::{Config, Role};
use crate::connection::accept_gate::{Gate, Passed};
use crate::connection::tls::Tls;
use crate::core::protocol::loopback::is_loopback;
use crate::web::pages::own_pages::{OwnPages, routes};

/// Where devices' own pages are served, and how browsers find it.
pub(super) struct OwnPagesAddress {
    pub listener: TcpListener,
    pub origin: String,
}

/// Binds the listener. `None` where there are no pages, or none of their browsers could reach it.
pub(super) fn place(config: &Config) -> anyhow::Result<Option<OwnPagesAddress>> {
    let pages = &config.pages;
    let here = Url::parse(&config.server.public_url).is_ok_and(|url| is_loopback(&url));
    let apart = pages.device_url.is_empty() && pages.device_listen.ip().is_loopback() && !here;
    if !pages.enabled || !config.plays(Role::Devices) || apart {
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

/// Adds it to the server.
pub(super) fn listen(
    builder: ServerBuilder,
    listener: TcpListener,
    own: Arc<OwnPages>,
    tls: Option<Tls>,
    admission: Arc<AdmissionController>,
) -> std::io::Result<ServerBuilder> {
    let own = web::Data::from(own);
    match tls {
        Some(tls) => builder.listen("device pages", listener, move || {
            Gate::new(tls.service().and_then(http(own.clone())), Arc::clone(&admission), false)
        }),
        None => builder.listen("device pages", listener, move || {
            let plain = fn_service(|(io, peer): Passed| ready(Ok((io, Protocol::Http1, peer))));
            Gate::new(plain.and_then(http(own.clone())), Arc::clone(&admission), true)
        }),
    }
}

fn http<T>(
    own: web::Data<OwnPages>,
) -> impl ServiceFactory<
    (T, Protocol, Option<SocketAddr>),
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
        .finish(map_config(App::new().configure(routes(own)), |()| AppConfig::default()))
}
