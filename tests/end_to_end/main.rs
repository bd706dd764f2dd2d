//! The broker as its peers see it: over real sockets, on an embedded store and on a real `redis-server`.
//!
//! Every test has its own broker. The peers share no code with it.

// Helpers of tests may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

/// The same test on both stores.
macro_rules! on_each_store {
    ($name:ident, $change:expr, $test:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            #[allow(unused_imports)]
            use crate::support::broker::{Keep, with_broker};

            #[test]
            fn embedded() {
                with_broker(&Keep::embedded(), $change, $test);
            }

            #[test]
            fn redis() {
                with_broker(&Keep::redis(), $change, $test);
            }
        }
    };
}

mod admission;
mod apps;
mod apps_devices;
mod attempts;
mod audit;
mod codebook;
mod device_configs;
mod drain;
mod ended;
mod entry;
mod fleet;
mod limits;
mod logins;
mod membership;
mod notices;
mod operations;
mod passthrough;
mod places;
mod refusals;
mod secrets;
mod strangers;
mod tenancy;
mod tls;
mod two_nodes;
mod work;
