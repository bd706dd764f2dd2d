//! TODO header

pub mod actor;
pub mod queries;
pub(crate) mod requests;
pub mod session_keys;
pub mod subscribers;
