//! Routes of the public listener, over plain TCP or TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_service::{ServiceFactory, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::admin::Admin;
use crate::connection::client_stream::{Encrypted, Encryption};
use crate::connection::http::{LINGER, Metered};
use crate::lifecycle::Shutdown;
use crate::node::Node;
use crate::users_role::backend::exchange::InboundRegistry;
use crate::users_role::exchange_connection::ExchangeServices;
use crate::web::client_address::ListenerRules;
use crate::web::directory::DirectoryWeb;
use crate::web::pages::Pages;
use crate::web::passthrough::Passthrough;
use crate::web::upgrade::Upgrades;
use crate::web::{api, entrance, pages, passthrough, requests, upgrade};

/// The parts that the public listener serves.
#[derive(Clone)]
pub(super) struct PublicSite {
    pub node: Arc<Node>,
    pub shutdown: Shutdown,
    pub devices: bool,
    pub directory: Option<web::Data<DirectoryWeb>>,
    pub admin: Option<Arc<Admin>>,
    pub pages: Option<web::Data<Pages>>,
    pub inbound: Option<InboundRegistry>,
    pub rules: ListenerRules,
}

impl PublicSite {
    /// What upgrades and passthrough addresses use of the node.
    fn upgrades(&self) -> Upgrades {
        let (node, apps) = (&self.node, self.node.apps());
        let passthrough = Passthrough {
            instance: apps.instance.clone(),
            keys: Arc::clone(&apps.keys),
            store: Arc::clone(node.store()),
            tenants: Arc::clone(node.tenants()),
            directory: Arc::clone(node.directory()),
            in_flight: node.in_flight().clone(),
        };
        let exchange = ExchangeServices {
            bounds: apps.bounds,
            longest_before: apps.session.longest_before,
            longest_after: apps.session.longest_after,
            attempts: Arc::clone(node.attempts()),
        };
        let rules = Arc::new(self.rules.clone());
        Upgrades { node: Arc::clone(node), passthrough: Arc::new(passthrough), exchange, rules }
    }

    pub fn http<T>(
        &self,
    ) -> impl ServiceFactory<
        (Metered<T>, Protocol, Option<SocketAddr>),
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
    > + use<T>
    where
        T: AsyncRead + AsyncWrite + Encryption + Unpin + 'static,
    {
        let (shutdown, devices, upgrades) = (self.shutdown.clone(), self.devices, self.upgrades());
        let passthrough = Arc::clone(&upgrades.passthrough);
        let (directory, admin, pages) = (self.directory.clone(), self.admin.clone(), self.pages.clone());
        let inbound = self.inbound.clone();
        let rules = web::Data::from(Arc::clone(&upgrades.rules));
        // The last one is the first that a request passes.
        let app = App::new().app_data(rules).wrap(from_fn(entrance::enter)).wrap(from_fn(requests::watch));
        let app = app.configure(|routes| {
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
                passthrough::routes(passthrough)(routes);
            }
        });
        HttpService::build()
            // A client that has closed its sending side gets no answer: a device's response would be wasted.
            .h1_allow_half_closed(false)
            .client_disconnect_timeout(LINGER)
            .on_connect_ext(|io: &Metered<T>, data| {
                if io.is_encrypted() {
                    data.insert(Encrypted);
                }
            })
            .upgrade(fn_service(move |(request, framed)| {
                let roles = upgrade::Roles { devices, inbound: inbound.as_ref() };
                upgrade::upgrade(&upgrades, roles, &shutdown, request, framed)
            }))
            .finish(map_config(app, |()| AppConfig::default()))
    }
}
