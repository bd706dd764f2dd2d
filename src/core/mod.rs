//! The pure part: protocols, sessions and rules.
//!
//! Nothing here does I/O, reads a clock, draws randomness, logs or counts. Time and randomness come in as arguments, what has
//! to happen goes out as values. So every rule can be tested without a socket, and the load test speaks the same code.

pub mod accounts;
pub mod admission;
pub mod appws;
pub mod cause;
pub mod claims;
pub mod close;
pub mod csv;
pub mod device;
pub mod entry;
pub mod guard;
pub mod ids;
pub mod init;
pub mod jobs;
pub mod json;
pub mod limits;
pub mod loopback;
pub mod pbx;
pub mod people;
pub mod percent;
pub mod phone;
pub mod script;
pub mod seldom;
pub mod storm;
pub mod sysclient;
pub mod time;
pub mod timeline;
pub mod users;
