//! The traffic with a telephone exchange (`docs/protocol/pbx.md`) as a client that is a state machine: events in,
//! actions out.
//!
//! [`exchange::ExchangeClient`] is the whole client of one PBX: log-in, mirror, orders, registrations. [`door::Door`] is the other
//! side of a connection that a PBX opens to us, up to its `PbxInfo`; from there on the exchange takes over.

pub mod apps;
pub mod client;
pub mod dial_backoff;
pub mod entry;
pub mod event;
pub mod guid;
pub mod inbound;
pub mod listing;
pub mod mirror;
pub mod object;
mod rate;
pub mod registrations;
pub mod request;
mod request_queue;
pub mod resync_backoff;
pub mod settings;
pub mod write_round;
