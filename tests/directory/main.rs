//! The directory over real sockets: its calls for Devices, its address for phones, its limits
//! (`docs/protocol/directory.md`).
//!
//! The store is a fake in memory, so that it can be taken down, and its clock and its calls can be seen.

// Helpers of tests may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api;
mod init;
mod limits;
mod remote;
mod service;
mod support;
