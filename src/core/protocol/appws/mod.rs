//! Messages of app connections (`docs/protocol/appwebsocket.md`) and of Devices on them
//! (`docs/protocol/devices-api.md`).
//!
//! Reads requests and writes answers. It decides nothing about rights, limits no rates, and keeps no state of a
//! connection except its challenges; that is up to [`crate::core::session::app`].

pub mod answers;
pub mod build;
pub mod call;
pub mod challenge;
pub mod list;
pub mod login;
pub mod message;
pub mod objects;
pub mod passthrough;
pub mod search;
pub mod select;
