//! TLS out of the configuration: certificate and ticket keys, read at start and kept fresh.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use crate::app::periodic::every;
use crate::config::Config;
use crate::connection::tls::{Identity, LOOK_AT_FILES, READ_KEYS, Tickets, Tls};
use crate::node::Node;
use crate::store::{self, TlsTicketKeys};

/// The two files that the configuration names; `None` without TLS.
pub(super) fn identity(config: &Config) -> anyhow::Result<Option<Identity>> {
    let tls = &config.tls;
    // The error says which key and what to do.
    Ok(if tls.is_on() { Some(Identity::read(&tls.certificate, &tls.key)?) } else { None })
}

/// TLS as configured, kept fresh as long as the node lives.
pub(super) async fn start(config: &Config, node: &Arc<Node>) -> anyhow::Result<Option<Tls>> {
    let Some(identity) = identity(config)?.map(Arc::new) else { return Ok(None) };
    let tickets = config.tls.tickets.then(|| Arc::new(Tickets::new(config.tls.ticket_lifetime)));
    if let Some(tickets) = &tickets {
        read_keys(&**node.store(), tickets).await.context("reading the keys of session tickets")?;
        let tickets = Arc::clone(tickets);
        every("keys of session tickets", READ_KEYS, node, move |node| {
            let tickets = Arc::clone(&tickets);
            async move { read_keys(&**node.store(), &tickets).await }
        });
    }
    let files = Arc::clone(&identity);
    every("certificate files", LOOK_AT_FILES, node, move |_| look_at(Arc::clone(&files)));
    let tls = Tls::new(identity, tickets, config.tls.min_version, config.tls.handshake_timeout);
    Ok(Some(tls.context("[tls]")?))
}

async fn read_keys(store: &dyn TlsTicketKeys, tickets: &Tickets) -> store::Result<()> {
    let fresh = Tickets::fresh_key();
    tickets.use_keys(&store.ticket_keys(&fresh, tickets.rotate_after(), tickets.keep_keys()).await?);
    Ok(())
}

async fn look_at(identity: Arc<Identity>) -> store::Result<()> {
    match spawn_blocking(move || identity.refresh()).await {
        Ok(Ok(true)) => tracing::info!("new certificate in use"),
        Ok(Err(error)) => tracing::warn!("{error}; the certificate in use stays"),
        // Unchanged, or the program ends.
        Ok(Ok(false)) | Err(_) => {}
    }
    Ok(())
}
