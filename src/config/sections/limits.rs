//! Keys of `[limits]`: limits for wrong attempts. What is delayed, from which number on and for how long is part of the
//! protocol (`docs/protocol/sysclient.md` 9.1, `docs/protocol/directory.md` 4.4, `docs/protocol/appwebsocket.md` 9) and
//! cannot be configured.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::section::section;
use super::super::values::{Retired, humantime_text};

section! {
    /// `[limits]`: only wrong attempts count.
    Limits {
        /// Wrong attempts are forgotten after this time.
        #[serde(with = "humantime_text")]
        window: Duration = Duration::from_secs(10 * 60),
        /// Devices, names and addresses whose wrong attempts are counted at the same time, for each kind of secret.
        max_tracked: usize = 100_000,
        /// Until 0.1: wrong digests per device.
        #[serde(skip_serializing_if = "Retired::is_absent")]
        device_digests: Retired = Retired::default(),
        /// Until 0.1: wrong codes per device.
        #[serde(skip_serializing_if = "Retired::is_absent")]
        device_codes: Retired = Retired::default(),
        /// Until 0.1: wrong attempts of devices per source address.
        #[serde(skip_serializing_if = "Retired::is_absent")]
        address: Retired = Retired::default(),
        /// Until 0.1: failed log-ins of apps per source address.
        #[serde(skip_serializing_if = "Retired::is_absent")]
        logins: Retired = Retired::default(),
        /// Until 0.1: how long they were answered with 429 after that.
        #[serde(skip_serializing_if = "Retired::is_absent")]
        login_pause: Retired = Retired::default(),
        /// Until 0.1: wrong codes per MAC address at `/init`.
        #[serde(skip_serializing_if = "Retired::is_absent")]
        init_mac: Retired = Retired::default(),
        /// Until 0.1: wrong codes per source address at `/init`.
        #[serde(skip_serializing_if = "Retired::is_absent")]
        init_address: Retired = Retired::default(),
        /// Until 0.1: wrong codes per minute at `/init`, over all sources.
        #[serde(skip_serializing_if = "Retired::is_absent")]
        init_per_minute: Retired = Retired::default(),
        /// Until 0.1: the delay above that number.
        #[serde(skip_serializing_if = "Retired::is_absent")]
        init_delay: Retired = Retired::default(),
    }
}
