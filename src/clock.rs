//! The clocks of this process; the only place of the server that reads them. Sessions are given the monotonic one.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::core::time::Tick;

#[allow(clippy::disallowed_methods)]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Seconds since 1970 on the clock of this machine: for people to read, never for validity.
#[allow(clippy::disallowed_methods)]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Now, in milliseconds since the first call in this process.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Tick {
    Tick(u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX))
}
