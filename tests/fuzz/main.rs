//! Everything that reads what strangers send, on generated inputs: no panic, no hang, and rules that always hold.
//!
//! `make fuzz` runs each target for a minute with a new seed, `make test` for five seconds with a fixed one. An input
//! that was found to break something is kept in `tests/fuzz/corpus/TARGET/`.

// The exemption in clippy.toml covers functions marked as tests, not their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]
// Each target runs for a time.
#![allow(clippy::disallowed_methods)]

mod mutation;
mod runner;
mod targets;
