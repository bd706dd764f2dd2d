//! The app protocol (`docs/protocol/appwebsocket.md`) and the messages of Devices on it
//! (`docs/protocol/devices-api.md`): texts in, texts out.
//!
//! Reads requests and writes answers. It does not decide who may do what, keeps no state of a connection but its challenges,
//! and knows no limits of rate; that is the session's part.

pub mod answers;
pub mod build;
pub mod call;
pub mod challenge;
pub mod list;
pub mod login;
pub mod message;
pub mod objects;
pub mod passthrough;
pub mod select;
