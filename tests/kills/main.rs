//! What happens when something dies or stops between a claim and the delivery of its notice: the broker, Users, the device,
//! the store. Every broker here is a process of its own, killed by SIGKILL.
//!
//! The peers are written from the protocol texts alone; nothing of `provbroker` is used. Nothing waits by sleeping: kills
//! strike after a drawn number of messages on the wire. `KILLS_SEED` draws others.

// The helpers of a test are tests: clippy excuses only the functions that are marked.
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
