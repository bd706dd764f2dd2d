//! The keys of the limits for wrong attempts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::section::section;
use super::super::values::humantime_text;

section! {
    /// `[limits]`: only wrong attempts count.
    Limits {
        /// Attempts are counted over this time.
        #[serde(with = "humantime_text")]
        window: Duration = Duration::from_secs(10 * 60),
        /// Wrong digests per device.
        device_digests: u32 = 5,
        /// Bad codes per device.
        device_codes: u32 = 10,
        /// Wrong digests of devices, bad codes and wrong tokens, each, per source address.
        address: u32 = 60,
        /// Failed log-ins of apps per source address.
        logins: u32 = 60,
        /// How long an address with too many failed log-ins is answered with 429.
        #[serde(with = "humantime_text")]
        login_pause: Duration = Duration::from_secs(60),
        /// Wrong codes per MAC address at `/init`.
        init_mac: u32 = 10,
        /// Wrong codes per source address at `/init`.
        init_address: u32 = 60,
        /// Wrong codes per minute at `/init` over all, from which on every answer with a code is delayed.
        init_per_minute: u32 = 1000,
        /// That delay.
        #[serde(with = "humantime_text")]
        init_delay: Duration = Duration::from_secs(2),
        /// Devices and addresses with wrong attempts that are remembered at the same time; the oldest is forgotten first.
        max_tracked: usize = 100_000,
    }
}
