//! TODO header

pub mod accept_gate;
pub mod handle;
pub mod socket;
pub mod table;
pub mod timer;
pub mod tls;
