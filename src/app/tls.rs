//! TLS from the configuration: reads certificate and ticket keys at start, and again periodically.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use crate::app::periodic::every;
use crate::config::Config;
use crate::connection::tls::{Identity, LOOK_AT_FILES, READ_KEYS, Tickets, Tls};
use crate::node::Node;
use crate::store::{self, TlsTicketKeys};

/// Certificate and key from the configured files; `None` without TLS.
pub(super) fn identity(config: &Config) -> anyhow::Result<Option<Identity>> {
    let tls = &config.tls;
    // The error names the configuration key and what to do.
    Ok(if tls.is_on() { Some(Identity::read(&tls.certificate, &tls.key)?) } else { None })
}

/// TLS as configured. Certificate and ticket keys are refreshed as long as the node lives.
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
    every("certificate files", LOOK_AT_FILES, node, move |_| refresh_certificate(Arc::clone(&files)));
    let tls = Tls::new(identity, tickets, config.tls.min_version, config.tls.handshake_timeout);
    Ok(Some(tls.context("[tls]")?))
}

async fn read_keys(store: &dyn TlsTicketKeys, tickets: &Tickets) -> store::Result<()> {
    let fresh = Tickets::fresh_key();
    tickets.use_keys(&store.ticket_keys(&fresh, tickets.rotate_after(), tickets.keep_keys()).await?);
    Ok(())
}

async fn refresh_certificate(identity: Arc<Identity>) -> store::Result<()> {
    match spawn_blocking(move || identity.refresh()).await {
        Ok(Ok(true)) => tracing::info!("using a new certificate"),
        Ok(Err(error)) => tracing::warn!("{error}; the old certificate stays in use"),
        // The files are unchanged, or the runtime is stopping.
        Ok(Ok(false)) | Err(_) => {}
    }
    Ok(())
}
