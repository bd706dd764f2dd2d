//! Connections of devices as state machines (`docs/protocol/sysclient.md`): [`session`] is the server's side,
//! [`client`] the device's side, [`settings`] the persistent state of a simulated device.
//!
//! Knows neither the store nor the tenant; it requests what it needs from them by [`event::Action`].

pub mod client;
pub mod event;
pub mod query;
pub mod session;
pub mod settings;
mod state;
mod tunnels;
mod worker;
