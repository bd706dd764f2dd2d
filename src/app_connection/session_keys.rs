//! Keys of the app sessions that are open on this node; they give browsers access to devices
//! (`docs/protocol/sysclient.md` 8.1).
//!
//! A key is found by its hash, so that the time of a look-up reveals nothing about existing keys.
//! It must not know devices or HTTP: access is checked in `src/web/passthrough.rs`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::core::model::grant::Grant;
use crate::core::model::ids::Secret;

/// Tunnel sessions that one key may have open at once.
const TUNNELS_MAX: usize = 64;

type Hash = [u8; 32];

struct Entry {
    grant: Option<Arc<Grant>>,
    tunnels: Arc<AtomicUsize>,
    ended: watch::Receiver<()>,
}

/// The keys of one node.
#[derive(Default)]
pub struct Keys(Mutex<HashMap<Hash, Entry>>);

impl Keys {
    fn with<R>(&self, act: impl FnOnce(&mut HashMap<Hash, Entry>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the key valid until the returned value is dropped. `grant` is what the log-in has proved; `None`: the
    /// password of the instance.
    pub fn insert(self: &Arc<Self>, key: &Secret, grant: Option<Grant>) -> OpenKey {
        let (alive, ended) = watch::channel(());
        let (hash, grant) = (hash(key), grant.map(Arc::new));
        self.with(|keys| keys.insert(hash, Entry { grant, tunnels: Arc::default(), ended }));
        OpenKey { keys: Arc::clone(self), hash, _alive: alive }
    }

    /// The session of this key, if it is open.
    pub fn find(&self, key: &Secret) -> Option<Holder> {
        let hash = hash(key);
        self.with(|keys| {
            keys.get(&hash).map(|entry| Holder {
                grant: entry.grant.clone(),
                tunnels: Arc::clone(&entry.tunnels),
                ended: entry.ended.clone(),
            })
        })
    }
}

fn hash(key: &Secret) -> Hash {
    Sha256::digest(key.expose()).into()
}

/// The key of an open session; invalid when this is dropped.
pub struct OpenKey {
    keys: Arc<Keys>,
    hash: Hash,
    _alive: watch::Sender<()>,
}

impl Drop for OpenKey {
    fn drop(&mut self) {
        self.keys.with(|keys| keys.remove(&self.hash));
    }
}

/// The session of a key that was presented.
#[derive(Clone)]
pub struct Holder {
    /// What its log-in has proved; `None`: the password of the instance. Whether that holds, the holder has to check.
    pub grant: Option<Arc<Grant>>,
    tunnels: Arc<AtomicUsize>,
    ended: watch::Receiver<()>,
}

impl Holder {
    /// A place for one more tunnel session; `None` if all are taken.
    pub fn admit(&self) -> Option<Admitted> {
        let taken = self
            .tunnels
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < TUNNELS_MAX).then_some(open + 1));
        taken.ok().map(|_| Admitted(Arc::clone(&self.tunnels)))
    }

    /// Returns when the session of the key has ended.
    pub async fn ended(&mut self) {
        // Nothing is ever sent: it is the end of the sender that counts.
        while self.ended.changed().await.is_ok() {}
    }
}

/// The place of a tunnel session; free again when dropped.
pub struct Admitted(Arc<AtomicUsize>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ids::{DomainId, DomainName};

    fn grant() -> Grant {
        let domain = DomainName::parse("example.com").unwrap();
        Grant { domain, id: Some(DomainId(1)), password: Some(Secret::new("password")) }
    }

    #[test]
    fn a_key_lives_as_long_as_its_session() {
        let keys = Arc::new(Keys::default());
        let (one, two) = (Secret::new("one"), Secret::new("two"));
        let open = keys.insert(&one, Some(grant()));
        let _admin = keys.insert(&two, None);
        assert_eq!(keys.find(&one).unwrap().grant.as_deref(), Some(&grant()));
        assert_eq!(keys.find(&two).unwrap().grant, None, "all domains");
        assert!(keys.find(&Secret::new("on")).is_none());
        drop(open);
        assert!(keys.find(&one).is_none() && keys.find(&two).is_some());
    }

    #[test]
    fn a_key_has_64_places() {
        let keys = Arc::new(Keys::default());
        let key = Secret::new("key");
        let _open = keys.insert(&key, Some(grant()));
        let mut places: Vec<_> = (0..64).map(|_| keys.find(&key).unwrap().admit().unwrap()).collect();
        assert!(keys.find(&key).unwrap().admit().is_none());
        places.pop();
        assert!(keys.find(&key).unwrap().admit().is_some());
    }
}
