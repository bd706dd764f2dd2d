//! Simulated devices, Users clients and exchanges: the pure client sides of [`crate::core`] on real sockets.
//!
//! For the demo, the tests and the load test. Must not use anything of the server, so that they observe what any
//! other device or client would.

pub mod exchange;

use std::time::Duration;

use tokio::time::Instant;

use crate::core::model::time::Tick;

pub mod connection;
pub mod files;
pub mod observe;
pub mod phone;
pub mod transport;
pub mod users;
pub mod web;

/// The monotonic clock of one simulated client; it is the runtime's, so tests can pause it.
#[derive(Debug)]
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now(&self) -> Tick {
        Tick(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The instant of a tick on the runtime's clock. Ticks are whole milliseconds, so it is rounded up.
    fn instant(&self, tick: Tick) -> Instant {
        self.0 + Duration::from_millis(tick.0)
    }
}

/// Sleeps until a tick; forever if there is none.
async fn sleep_until_tick(clock: &Clock, tick: Option<Tick>) {
    match tick {
        Some(tick) => tokio::time::sleep_until(clock.instant(tick)).await,
        None => std::future::pending().await,
    }
}

/// Sleeps until a time; for ever if there is none.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
