//! What the public listener serves, whatever HTTP is spoken over.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_service::{ServiceFactory, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, web};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::admin::Admin;
use crate::lifecycle::Shutdown;
use crate::node::Node;
use crate::users_role::backend::exchange::InboundRegistry;
use crate::web::directory::DirectoryWeb;
use crate::web::pages::Pages;
use crate::web::{api, pages, passthrough, upgrade};

/// What the public listener serves, whatever it is spoken over.
#[derive(Clone)]
pub(super) struct PublicSite {
    pub node: Arc<Node>,
    pub shutdown: Shutdown,
    pub devices: bool,
    pub directory: Option<web::Data<DirectoryWeb>>,
    pub admin: Option<Arc<Admin>>,
    pub pages: Option<web::Data<Pages>>,
    pub inbound_registry: Option<InboundRegistry>,
}

impl PublicSite {
    pub fn http<T>(
        &self,
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
        let (node, shutdown, devices) = (Arc::clone(&self.node), self.shutdown.clone(), self.devices);
        let (directory, admin, pages) = (self.directory.clone(), self.admin.clone(), self.pages.clone());
        let inbound_registry = self.inbound_registry.clone();
        let app = App::new().configure(|routes| {
            match directory {
                Some(directory) => crate::web::directory::routes(directory)(routes),
                None => crate::web::directory::health(routes),
            }
            if let Some(admin) = admin {
                api::routes(admin)(routes);
            }
            if let Some(pages) = pages {
                pages::routes(pages)(routes);
            }
            if devices {
                passthrough::routes(Arc::clone(&node))(routes);
            }
        });
        HttpService::build()
            // A client that has ended its side waits for no answer: what a device sends for it would be for nobody.
            .h1_allow_half_closed(false)
            .upgrade(fn_service(move |(request, framed)| {
                let roles = upgrade::Roles { devices, inbound_registry: inbound_registry.as_ref() };
                upgrade::upgrade(Arc::clone(&node), roles, &shutdown, request, framed)
            }))
            .finish(map_config(app, |()| AppConfig::default()))
    }
}
