//! A centre and a site that never meet: two brokers, the centre on Redis and the site on a file of its own, and the
//! program that carries bundles between them (`docs/offline.md`). Phones are simulated.

// Helpers of tests may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod interrupted;
mod refused;
#[path = "../support/mod.rs"]
mod support;
mod whole_way;
mod world;
