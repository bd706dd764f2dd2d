//! Keys of TLS session tickets on Redis.

use std::time::Duration;

use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::store::tls_ticket_keys::{open_key, seal_key};
use crate::store::{Result, TicketKey, TlsTicketKeys};

static TICKET_KEYS: LazyScript = script!("ticket_keys");

#[async_trait]
impl TlsTicketKeys for Redis {
    async fn ticket_keys(&self, fresh: &TicketKey, rotate: Duration, keep: Duration) -> Result<Vec<TicketKey>> {
        let place = keys::TICKETS;
        let mut script = TICKET_KEYS.key(place);
        script.arg(seal_key(&self.sealer, place, fresh)).arg(millis(rotate)).arg(millis(keep));
        let found: Vec<(Vec<u8>, u64)> = self.client.timed(self.client.eval(&script)).await?;
        let key = |(sealed, age): &(Vec<u8>, u64)| open_key(&self.sealer, place, sealed, Duration::from_millis(*age));
        found.iter().map(key).collect()
    }
}
