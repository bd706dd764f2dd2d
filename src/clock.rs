//! The clocks of this process. No other module of the server reads a clock; the sessions of the pure core get the
//! monotonic time as an argument.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::core::model::time::{Tick, UnixMillis};

#[allow(clippy::disallowed_methods)]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Seconds since 1970 on the clock of this machine: for display, never to check a validity.
pub fn unix_seconds() -> u64 {
    time_of_day().seconds()
}

/// The time of day on the clock of this machine: for maintenance hours and back-off, never to check a validity.
#[allow(clippy::disallowed_methods)]
pub fn time_of_day() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[allow(clippy::disallowed_methods)]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Now, in milliseconds since the first call in this process.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Tick {
    Tick(u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX))
}
