//! The pure part: protocols, sessions and rules.
//!
//! Nothing here does I/O, reads a clock, draws randomness, logs or counts. Time and randomness come in as arguments, what has
//! to happen goes out as values. So every rule can be tested without a socket, and the load test speaks the same code.

pub mod model;
pub mod policy;
pub mod protocol;
pub mod session;
