//! Locks with expiry, in memory: there is only one process, so no lock can be held across a restart.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::Embedded;
use crate::core::model::time::UnixMillis;
use crate::store::{Locks, Result};

/// Above this number of locks, expired ones are removed before another one is taken.
const SWEEP_ABOVE: usize = 1_024;

/// Holders and ends of the locks, by their names.
type Table = HashMap<Box<str>, (Box<str>, UnixMillis)>;

/// The locks that are held.
#[derive(Default)]
pub(super) struct Held(Mutex<Table>);

impl Held {
    fn locked(&self) -> MutexGuard<'_, Table> {
        // Each change below is one insert or one remove.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Locks for Embedded {
    async fn lock(&self, name: &str, holder: &str, ttl: Duration) -> Result<bool> {
        let now = self.kv.now();
        let mut held = self.held.locked();
        if held.get(name).is_some_and(|(other, ends)| **other != *holder && *ends > now) {
            return Ok(false);
        }
        if held.len() > SWEEP_ABOVE {
            held.retain(|_, (_, ends)| *ends > now);
        }
        held.insert(name.into(), (holder.into(), now + ttl));
        Ok(true)
    }

    async fn unlock(&self, name: &str, holder: &str) -> Result<()> {
        let mut held = self.held.locked();
        if held.get(name).is_some_and(|(other, _)| **other == *holder) {
            held.remove(name);
        }
        Ok(())
    }
}
