//! Keys of TLS session tickets in the file.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::kv::{Outcome, Tx};
use super::{Embedded, keys};
use crate::core::model::time::UnixMillis;
use crate::store::record::Sealed;
use crate::store::tls_ticket_keys::{open_key, seal_key};
use crate::store::{Result, TicketKey, TlsTicketKeys};

#[derive(Clone, Serialize, Deserialize)]
struct KeyRow {
    made: UnixMillis,
    sealed: Sealed,
}

#[async_trait]
impl TlsTicketKeys for Embedded {
    async fn ticket_keys(&self, fresh: &TicketKey, rotate: Duration, keep: Duration) -> Result<Vec<TicketKey>> {
        // Called again and again, and most of the time there is nothing to write.
        let there: Option<Vec<KeyRow>> = self.kv.read(|snapshot| snapshot.get(keys::TICKETS))?;
        let now = self.kv.now();
        let rows =
            if let Some(rows) = there.filter(|rows| rows.first().is_some_and(|newest| now < newest.made + rotate)) {
                rows
            } else {
                let sealed = Sealed(seal_key(&self.sealer, keys::TICKETS, fresh));
                self.kv.write(move |tx| add(tx, sealed.clone(), rotate, keep)).await?
            };
        let young = rows.iter().filter(|row| now < row.made + keep);
        let age = |row: &KeyRow| Duration::from_millis(now.0.saturating_sub(row.made.0));
        young.map(|row| open_key(&self.sealer, keys::TICKETS, &row.sealed.0, age(row))).collect()
    }
}

fn add(tx: &mut Tx<'_>, sealed: Sealed, rotate: Duration, keep: Duration) -> Outcome<Vec<KeyRow>> {
    let mut rows: Vec<KeyRow> = tx.get(keys::TICKETS)?.unwrap_or_default();
    if rows.first().is_none_or(|newest| newest.made + rotate <= tx.now) {
        rows.retain(|row| tx.now < row.made + keep);
        rows.insert(0, KeyRow { made: tx.now, sealed });
        tx.put(keys::TICKETS, &rows, Some(tx.now + keep))?;
    }
    Ok(rows)
}
