//! The device protocol ("sysclient"): messages, digest and tunnel, for both sides of the connection.
//!
//! | module | what |
//! |---|---|
//! | [`frame`] | one WebSocket message to a value and back, with all checks that need no state |
//! | [`admin`] | the identify message |
//! | [`auth`] | digest, encrypted passwords |
//! | [`config`] | the configuration message |
//! | [`tunnel`] | one HTTP request through the connection, server side and device side |
//!
//! It keeps no state of a connection; what a message means in which state is up to [`crate::core::session::device`].

pub mod admin;
pub mod auth;
pub mod config;
pub mod frame;
pub mod tunnel;
