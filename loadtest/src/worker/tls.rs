//! The client side of TLS for simulated devices, with sessions to resume if that is wanted.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, NamedGroup, RootCertStore};

use crate::worker_commands::TlsOrder;

/// Tickets of all devices in one heap: each is good for any of them, and the server cannot tell.
#[derive(Default)]
pub struct Tickets {
    heap: Mutex<Vec<Tls13ClientSessionValue>>,
    gathering: AtomicBool,
}

impl Tickets {
    /// While they are gathered none is used: a server gives one for one, so there would never be enough for all.
    pub fn gather(&self, gathering: bool) {
        self.gathering.store(gathering, Ordering::Relaxed);
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // They are secrets.
        f.write_str("Tickets")
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner).push(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        if self.gathering.load(Ordering::Relaxed) {
            return None;
        }
        self.heap.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// What the connections of all devices share.
pub struct Tls {
    order: TlsOrder,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Trusts this certificate and no other.
    pub fn new(order: TlsOrder, tickets: &Arc<Tickets>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(order.certificate.clone())).context("the certificate to trust")?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption =
            if order.resume { Resumption::store(Arc::<Tickets>::clone(tickets)) } else { Resumption::disabled() };
        let name = ServerName::try_from(order.name.clone()).context("the name of the server")?;
        Ok(Self { order, config: Arc::new(config), name })
    }

    /// What it was made for.
    pub const fn order(&self) -> &TlsOrder {
        &self.order
    }

    /// One more connection.
    pub fn connection(&self) -> Result<ClientConnection, rustls::Error> {
        ClientConnection::new(Arc::clone(&self.config), self.name.clone())
    }
}
