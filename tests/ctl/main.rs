//! `provbroker ctl`: its commands compared with the OpenAPI document and the operators' manual, and the real program
//! against a broker.

// Helpers of tests may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod manual;
mod program;
