//! The monotonic clock that sessions are given; the only place of the server that reads it.

use std::sync::LazyLock;
use std::time::Instant;

use crate::core::time::Tick;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Now, in milliseconds since the first call in this process.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Tick {
    Tick(u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX))
}
