//! The core: protocols, sessions and decisions as pure functions and state machines (`docs/architecture.md`).
//!
//! Nothing here does I/O, reads a clock, draws randomness, logs or counts. Time and randomness are arguments, effects
//! are return values. So every rule can be tested without a socket, and the load test runs the same code.
//!
//! * [`model`]: records, identifiers and values that all layers share.
//! * [`policy`]: decisions: admission, entry, jobs, limits.
//! * [`protocol`]: messages to bytes and back.
//! * [`session`]: the state machines of the connections.

pub mod model;
pub mod policy;
pub mod protocol;
pub mod session;
