//! Back-off for dialling an exchange (`docs/protocol/pbx.md` 1.2): 1, 2, 4 … 60 s with random spread, 15 min after a
//! wrong password.

use std::time::Duration;

use super::settings::{LONGEST_BACK_OFF, WRONG_PASSWORD};
use crate::core::policy::backoff::{Backoff, Spread};

const PAUSES: Backoff = Backoff::doubling(Duration::from_secs(1), LONGEST_BACK_OFF, Spread::Shorter(4));

/// The failed attempts to reach one exchange.
#[derive(Debug, Default)]
pub struct DialBackoff {
    failures: u32,
    refused: bool,
}

impl DialBackoff {
    /// The log-in has succeeded.
    pub fn logged_in(&mut self) {
        *self = Self::default();
    }

    /// The password was wrong.
    pub fn refused(&mut self) {
        self.refused = true;
    }

    /// The wait after a connection has ended or failed. `draw` is random and shortens it by up to a quarter.
    pub fn pause(&mut self, draw: u64) -> Duration {
        if std::mem::take(&mut self.refused) {
            return WRONG_PASSWORD;
        }
        self.failures = self.failures.saturating_add(1);
        PAUSES.wait(self.failures, draw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_a_wrong_password_takes_a_quarter_of_an_hour() {
        let mut back_off = DialBackoff::default();
        let pauses: Vec<u64> = (0..8).map(|_| back_off.pause(0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(back_off.pause(u64::MAX) >= Duration::from_secs(45));
        back_off.refused();
        assert_eq!(back_off.pause(3), Duration::from_secs(900));
        back_off.logged_in();
        assert_eq!(back_off.pause(0).as_secs(), 1);
    }
}
