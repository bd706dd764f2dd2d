//! A simulated exchange (`docs/protocol/pbx.md` section 7): objects, replication, registrations, and switches for
//! everything that the protocol leaves open. [`machine::ExchangeSim`] is a pure state machine; [`run::Running`] runs
//! it on sockets, in either direction.

mod admin;
mod event;
pub mod machine;
pub mod objects;
pub mod run;
pub mod switches;
mod table;
