//! Attempts at secrets: reserved before the check, settled after it (`docs/protocol/sysclient.md` 9.1,
//! `docs/protocol/directory.md` 4.4).
//!
//! Every place that compares a secret of somebody who has not proved anything yet asks here first. Who waits and for how
//! long is decided in `src/core/policy/limits/`; this service keeps the counts of one node, wakes those that wait, and
//! shares the numbers over all with the other nodes through the store. It must not know what a secret opens.
//!
//! Names and sources are kept in memory only, names and secrets as keyed hashes.

mod kinds;
mod maintenance;
mod over_all;
mod service;
mod shared;
mod waiting_attempt;

pub use kinds::{AttemptRules, SecretKind};
pub use maintenance::TICK;
pub use service::{Asked, AttemptService};
pub use shared::{Attempt, TryLater};
pub use waiting_attempt::Waiting;

#[cfg(test)]
mod tests;
