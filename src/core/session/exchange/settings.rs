//! Options of the exchange client, and the fixed times and limits (`docs/protocol/pbx.md` sections 1, 3, 4, 6).

use std::time::Duration;

use super::entry::Flag;

/// Time-out of a request.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Time-out of `UpdateObject`.
pub const UPDATE_TIME: Duration = Duration::from_secs(30);
/// Consecutive unanswered requests that end the connection.
pub const MAX_UNANSWERED: u8 = 3;
/// A keep-alive is sent after this much silence.
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Most entries of a user; no more are added beyond.
pub const MAX_DEVICES: usize = 64;
/// Wait before the entry is compared (`docs/protocol/pbx.md` section 4, step 7).
pub const SETTLE: Duration = Duration::from_secs(1);
/// Rounds of an order before it waits because of concurrent edits.
pub const MAX_ROUNDS: u8 = 3;
/// Length of that wait.
pub const CONCURRENT_EDITS_WAIT: Duration = Duration::from_secs(300);
/// How long an order waits for a complete mirror.
pub const MIRROR_WAIT: Duration = Duration::from_secs(900);
/// Waits after a refused `UpdateObject`; after the last one the order has failed.
pub const REFUSED: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];
/// How long the list of phone apps is cached, and how long an order waits for an app that is not in it.
pub const APPS_KEPT: Duration = Duration::from_secs(300);
/// Wait after a wrong password.
pub const WRONG_PASSWORD: Duration = Duration::from_secs(900);
/// Longest wait between two attempts to connect.
pub const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);
/// Interval of listing users by `SearchUsers` when there is no table.
pub const LIST_AGAIN: Duration = Duration::from_secs(900);
/// Most orders under way per exchange; further ones are told to retry.
pub const MAX_ORDERS: usize = 2_048;
/// Most users in a mirror; further ones are ignored.
pub const MAX_USERS: usize = 200_000;

/// What to do if the device is already entered for another user (`docs/protocol/pbx.md` section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    /// Move it to the user who typed the code.
    #[default]
    Move,
    /// Fail the order.
    Refuse,
}

/// Options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Names of the phone apps, if the exchange does not tell them (`docs/protocol/pbx.md` 2.5).
    pub phone_apps: Vec<Box<str>>,
    /// Flags of a new entry.
    pub flags: Vec<Flag>,
    /// What to do if the device is entered for another user.
    pub conflict: Conflict,
    /// `UpdateObject` requests a second.
    pub updates_per_second: usize,
    /// Other requests a second; `ReplicateNext` does not count.
    pub requests_per_second: usize,
    /// Most requests in flight.
    pub in_flight: usize,
    /// `GetRegs` requests a second.
    pub registrations_per_second: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            phone_apps: vec!["phone".into()],
            flags: vec![Flag::Tls, Flag::Trusted],
            conflict: Conflict::Move,
            updates_per_second: 20,
            requests_per_second: 50,
            in_flight: 4,
            registrations_per_second: 10,
        }
    }
}
