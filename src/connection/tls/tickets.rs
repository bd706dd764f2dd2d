//! Session tickets: the state that a client needs to resume its session, sealed with keys that all nodes share.
//!
//! A ticket contains the name of its key, a nonce and the sealed state of the session. A ticket with an unknown key, or
//! an invalid one, leads to a full handshake and nothing else. Where the keys are stored and when new ones are made is
//! decided by the store and by the reader of the keys.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use rustls::server::ProducesTickets;

use crate::random;
use crate::store::TicketKey;
use crate::store::xchacha::{NONCE_BYTES, XChaCha};

const NAME_BYTES: usize = 16;

type Name = [u8; NAME_BYTES];

/// How often the keys are read.
pub const READ_KEYS: Duration = Duration::from_secs(30);

/// A key seals only from this age on, so that every node has had time to read it.
const SPREAD: Duration = READ_KEYS.saturating_mul(3);

/// The keys as they were read last.
#[derive(Default)]
struct Keys {
    by_name: HashMap<Name, XChaCha>,
    sealing: Option<Name>,
}

/// Seals and opens tickets.
pub struct Tickets {
    lifetime: Duration,
    keys: RwLock<Keys>,
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets(…)")
    }
}

impl Tickets {
    /// Tickets that are good for `lifetime`. Without keys there are none.
    pub fn new(lifetime: Duration) -> Self {
        Self { lifetime, keys: RwLock::default() }
    }

    /// A new key is wanted when the newest one is as old as this.
    pub fn rotate_after(&self) -> Duration {
        self.lifetime / 2
    }

    /// How long a key is needed: it seals for half a lifetime, starting a little after it was made, and the last of its
    /// tickets is valid for a whole one.
    pub fn keep_keys(&self) -> Duration {
        self.lifetime + self.rotate_after() + SPREAD * 2
    }

    /// A key to offer to the store.
    pub fn fresh_key() -> TicketKey {
        let mut key = TicketKey { name: [0; NAME_BYTES], secret: [0; 32], age: Duration::ZERO };
        random::fill(&mut key.name);
        random::fill(&mut key.secret);
        key
    }

    /// Uses these keys from now on, newest first.
    pub fn use_keys(&self, keys: &[TicketKey]) {
        let sealing = keys.iter().find(|key| key.age >= SPREAD).or(keys.last()).map(|key| key.name);
        let by_name = keys.iter().map(|key| (key.name, XChaCha::new(key.secret))).collect();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys { by_name, sealing };
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let name = keys.sealing?;
        let mut nonce = [0; NONCE_BYTES];
        random::fill(&mut nonce);
        let sealed = keys.by_name.get(&name)?.seal(nonce, &name, plain)?;
        Some([&name[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.by_name.get(name)?.open(*nonce, name, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn key(age: Duration) -> TicketKey {
        TicketKey { age, ..Tickets::fresh_key() }
    }

    #[test]
    fn a_ticket_opens_with_its_key_only() {
        let tickets = Tickets::new(HOUR);
        assert_eq!(tickets.encrypt(b"session"), None, "no keys, no tickets");
        let (old, new) = (key(HOUR), key(HOUR / 2));
        tickets.use_keys(std::slice::from_ref(&old));
        let ticket = tickets.encrypt(b"session").unwrap();
        tickets.use_keys(&[new.clone(), old]);
        assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        tickets.use_keys(&[new]);
        assert_eq!(tickets.decrypt(&ticket), None, "its key is forgotten");
    }

    #[test]
    fn what_is_no_ticket_is_nothing() {
        let tickets = Tickets::new(HOUR);
        tickets.use_keys(&[key(HOUR)]);
        let ticket = tickets.encrypt(b"session").unwrap();
        for length in 0..ticket.len() {
            assert_eq!(tickets.decrypt(&ticket[..length]), None);
        }
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {at}");
        }
    }

    #[test]
    fn a_key_seals_when_every_node_has_read_it() {
        let tickets = Tickets::new(HOUR);
        let (young, old) = (key(READ_KEYS), key(HOUR / 2));
        tickets.use_keys(&[young.clone(), old.clone()]);
        assert!(tickets.encrypt(b"x").unwrap().starts_with(&old.name));
        tickets.use_keys(std::slice::from_ref(&young));
        assert!(tickets.encrypt(b"x").unwrap().starts_with(&young.name), "there is no other");
        tickets.use_keys(&[TicketKey { age: SPREAD, ..young.clone() }, old]);
        assert!(tickets.encrypt(b"x").unwrap().starts_with(&young.name));
    }
}
