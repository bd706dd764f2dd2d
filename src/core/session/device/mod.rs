//! Both ends of a device connection as state machines, and what a simulated device keeps.

pub mod client;
pub mod event;
pub mod query;
pub mod session;
pub mod settings;
mod state;
mod tunnels;
mod worker;
