//! The traffic with a telephone exchange (`pbx.md`) as a client that is a state machine: events in, actions out.
//!
//! [`exchange::Exchange`] is the whole client of one PBX: log-in, mirror, orders, registrations. [`door::Door`] is the other
//! side of a connection that a PBX opens to us, up to its `PbxInfo`; from there on the exchange takes over.

pub mod apps;
pub mod back_off;
pub mod brake;
pub mod door;
pub mod entry;
pub mod event;
pub mod exchange;
pub mod guid;
pub mod listing;
pub mod mirror;
pub mod object;
mod pace;
pub mod registrations;
pub mod request;
pub mod round;
pub mod settings;
mod wire;
