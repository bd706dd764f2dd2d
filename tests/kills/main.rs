//! Kills and stops between a claim and the delivery of its notice: of the broker, Users, the device, the store. Every
//! broker is a separate process, killed by SIGKILL.
//!
//! The peers are written from the protocol texts alone; they use nothing of `provbroker`. No test waits by sleeping:
//! kills happen after a random number of messages. `KILLS_SEED` selects others.

// Helper functions may fail like tests; clippy only excuses functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod broker;
mod device;
mod entry;
mod fuse;
#[path = "../support/redis_server.rs"]
mod redis_server;
mod round;
mod sigkill;
mod store_away;
mod users;
mod users_die;
mod wire;

/// Runs an asynchronous test on this thread.
fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}
