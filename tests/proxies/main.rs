//! The broker behind proxies, and whom it answers to: PROXY protocol, forwarded addresses, names, delivered passwords.
//! With the `HAProxy` and nginx of the system, and the files of `examples/proxies/`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client;
mod delivered;
mod forwarded;
mod header;
mod hosts;
mod programs;
#[path = "../support/mod.rs"]
mod support;
mod through;
