//! The instance key: what seals, hashes and signs with it, and how its generations are replaced.

use super::Result;
use super::keyring::{KeySource, Keyring, MasterKeys};
use super::observed::store_trait;
use super::seal::{GenerationId, Sealer};
use crate::core::model::ids::NodeId;

/// The generations of the instance key, and how far a rotation has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatus {
    /// What opens the key ring.
    pub locked_by: KeySource,
    /// The generation that seals.
    pub current: GenerationId,
    /// Earlier generations that are still kept.
    pub earlier: Vec<GenerationId>,
    /// A generation that will seal once all nodes know it.
    pub next: Option<GenerationId>,
    /// The nodes that a rotation waits for.
    pub waiting: Vec<NodeId>,
    /// Records that the rotation under way, or the last one, has sealed anew.
    pub resealed: u64,
    /// The key ring has the keys of before there was an instance key.
    pub of_before: bool,
    /// Everything is sealed with the generation that seals.
    pub done: bool,
}

impl KeyStatus {
    pub(super) fn of(ring: &Keyring, master: &MasterKeys, waiting: Vec<NodeId>, resealed: u64, done: bool) -> Self {
        let earlier: Vec<_> = ring.generations().into_iter().skip(1).collect();
        let done = ring.next().is_none() && (earlier.is_empty() || done);
        Self {
            locked_by: ring.locked_by(master),
            current: ring.current(),
            earlier,
            next: ring.next(),
            waiting,
            resealed,
            of_before: ring.has_old(),
            done,
        }
    }

    /// One word for how far a rotation has come.
    pub const fn state(&self) -> &'static str {
        match (self.done, self.next.is_some()) {
            (true, _) => "done",
            (false, true) => "waiting for nodes",
            (false, false) => "sealing",
        }
    }
}

/// What came of the wish for a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// This generation has been made; it will seal once all nodes know it.
    Begun(GenerationId),
    /// The rotation before is not over: earlier generations are still kept.
    UnderWay,
    /// The store is being migrated.
    Migrating,
}

store_trait! {
    /// The instance key.
    pub trait InstanceKeys: Send + Sync {
        /// Seals, opens, hashes and signs with the keys of this store.
        fn sealer(&self) -> Sealer;

        /// Its generations.
        async fn instance_keys(&self) -> Result<KeyStatus> => InstanceKeys;

        /// Begins to replace the generation that seals. [`Schema::migrate`](super::Schema::migrate) performs the rest.
        async fn rotate_instance_key(&self) -> Result<Rotation> => RotateKey;
    }
}
