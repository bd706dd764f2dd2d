//! The connection with a telephone exchange (`docs/protocol/pbx.md`) as state machines: events in, actions out. No
//! sockets, clocks or stores.
//!
//! [`client::ExchangeClient`] is the client of one exchange: log-in, mirror, orders, registrations.
//! [`inbound::InboundSession`] is the server side of a connection that an exchange opens, up to its `PbxInfo`; from
//! then on the client takes over.

pub mod apps;
pub mod client;
pub mod dial_backoff;
pub mod entry;
pub mod event;
pub mod guid;
pub mod inbound;
pub mod listing;
pub mod message;
pub mod mirror;
pub mod object;
mod rate;
pub mod registrations;
pub mod request;
mod request_queue;
pub mod resync_backoff;
pub mod settings;
pub mod write_round;
