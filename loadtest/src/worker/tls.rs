//! The TLS client of simulated devices, with session resumption if wanted.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, NamedGroup, RootCertStore};

use crate::worker_commands::TlsOrder;

/// Tickets of all devices in one pool: each is valid for any device.
#[derive(Default)]
pub struct Tickets {
    heap: Mutex<Vec<Tls13ClientSessionValue>>,
    gathering: AtomicBool,
}

impl Tickets {
    /// None is used while they are gathered: a server issues one per connection, so there would not be enough for
    /// all.
    pub fn gather(&self, gathering: bool) {
        self.gathering.store(gathering, Ordering::Relaxed);
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tickets are secret.
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

/// TLS state shared by all devices.
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

    /// Its settings.
    pub const fn order(&self) -> &TlsOrder {
        &self.order
    }

    /// A new connection.
    pub fn connection(&self) -> Result<ClientConnection, rustls::Error> {
        ClientConnection::new(Arc::clone(&self.config), self.name.clone())
    }
}
