//! The directory over real sockets: the interface for Devices, the address for phones, the limits
//! (`docs/protocol/directory.md`).
//!
//! The store is a fake in memory that can be made unavailable and whose clock and calls can be inspected.

// Helpers of tests may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api;
mod init;
mod limits;
mod remote;
mod service;
mod support;
