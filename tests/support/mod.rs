//! What integration tests share: brokers of their own, peers that speak the protocols, and an ear on the log.
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
