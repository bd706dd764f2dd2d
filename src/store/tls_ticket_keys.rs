//! The keys that seal TLS session tickets: the same on all nodes, and kept across a restart.

use std::fmt;
use std::time::Duration;

use super::Result;
use super::observed::store_trait;
use super::record::{corrupt, open, seal};
use super::seal::Sealer;
use crate::core::model::hex;
use crate::core::model::ids::Secret;

/// Name of the sealed field.
const FIELD: &str = "key";

/// A key for session tickets. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey {
    /// Its name, which every ticket carries unencrypted.
    pub name: [u8; 16],
    /// The key.
    pub secret: [u8; 32],
    /// How long it has been in the store.
    pub age: Duration,
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKey({}, {:?} old)", hex::encode(self.name), self.age)
    }
}

store_trait! {
    /// Keys of TLS session tickets.
    pub trait TlsTicketKeys: Send + Sync {
        /// The keys that are younger than `keep`, newest first. If the newest is as old as `rotate`, or there is none,
        /// `fresh` is kept as the newest. If several nodes bring one at the same time, one of them is kept.
        async fn ticket_keys(
            &self,
            fresh: &TicketKey,
            rotate: Duration,
            keep: Duration,
        ) -> Result<Vec<TicketKey>> => TicketKeys;
    }
}

/// Seals a key for the record `place`.
pub(super) fn seal_key(sealer: &Sealer, place: &str, key: &TicketKey) -> Vec<u8> {
    seal(sealer, place, FIELD, &Secret::new(hex::encode([&key.name[..], &key.secret].concat())))
}

/// Opens what [`seal_key`] made.
pub(super) fn open_key(sealer: &Sealer, place: &str, shut: &[u8], age: Duration) -> Result<TicketKey> {
    let text = open(sealer, place, FIELD, shut)?;
    let bytes = hex::decode(text.expose()).unwrap_or_default();
    let (name, secret) = bytes.split_first_chunk().ok_or_else(|| corrupt(place, &"too short"))?;
    let secret = secret.try_into().map_err(|_| corrupt(place, &"not of the length of a key"))?;
    Ok(TicketKey { name: *name, secret, age })
}
