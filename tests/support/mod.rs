//! Shared by integration tests: brokers, peers that speak the protocols, and access to the log.
//!
//! Include it with `#[path = "../support/mod.rs"] mod support;`.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod app;
pub mod broker;
pub mod crypto;
pub mod cutter;
pub mod operator;
pub mod peer;
pub mod raw;
pub mod redis_server;
pub mod rest;
pub mod secrets;
pub mod tls;
pub mod tunnel;
