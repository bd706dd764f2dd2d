//! The listener for components of this process: the Users role reaches Devices over it.
//!
//! It is on loopback, at a port that the system chooses, and takes only requests with the token of this process
//! (`connection::own`). Nothing that protects the public listener from strangers is in front of it: no admission, no
//! PROXY protocol, no TLS. It serves the same routes.

use std::future::ready;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use actix_http::Protocol;
use actix_rt::net::TcpStream;
use actix_server::ServerBuilder;
use actix_service::{ServiceFactoryExt as _, fn_service};

use super::public_site::PublicSite;
use super::{bind, metered};
use crate::config::{Config, Role};
use crate::connection::client_stream::ClientStream;
use crate::connection::own::OwnToken;
use crate::web::client_address::ListenerRules;

/// The bound listener and the token that opens it.
pub(super) struct OwnListener {
    listener: TcpListener,
    address: SocketAddr,
    pub token: OwnToken,
}

impl OwnListener {
    /// Binds the listener. `None` if no component of this process needs it.
    pub fn bind(config: &Config) -> anyhow::Result<Option<Self>> {
        if !(config.plays(Role::Users) && config.plays(Role::Devices) && config.users.devices.is_empty()) {
            return Ok(None);
        }
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "listener of this process")?;
        let address = listener.local_addr()?;
        Ok(Some(Self { listener, address, token: OwnToken::draw() }))
    }

    /// Address of the app WebSocket of Devices.
    pub fn devices(&self, config: &Config) -> String {
        format!("ws://{}{}", self.address, config.instance_path())
    }

    /// Adds the listener to the server.
    pub fn listen(self, builder: ServerBuilder, site: PublicSite) -> std::io::Result<ServerBuilder> {
        let rules = ListenerRules { own: Some(self.token), ..ListenerRules::default() };
        let site = PublicSite { rules, ..site };
        builder.listen("components of this process", self.listener, move || {
            let plain = fn_service(|io: TcpStream| {
                let peer = io.peer_addr().ok();
                ready(Ok((ClientStream::new(io), Protocol::Http1, peer)))
            });
            plain.and_then(metered()).and_then(site.http())
        })
    }
}
