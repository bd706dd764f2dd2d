//! The Users role in a whole broker: it talks to Devices over real sockets, phones are simulated, on both stores.

// Helpers of tests may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod exchange;
mod many;
mod node_failures;
mod outgoing_exchange;
mod own_process;
mod phone_requests;
#[allow(dead_code)]
#[path = "../kills/broker.rs"]
mod process;
#[allow(dead_code)]
#[path = "../support/receiver.rs"]
mod receiver;
mod rollouts;
mod world;

// Imported by `process` under this name.
use support::redis_server;
