//! What can be set for the traffic with a PBX, and the times that cannot (`docs/protocol/pbx.md` sections 1, 3, 4, 6).

use std::time::Duration;

use super::entry::Flag;

/// Time for an answer.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Time for the answer to `UpdateObject`.
pub const UPDATE_TIME: Duration = Duration::from_secs(30);
/// Requests without an answer, one after the other, that end the connection.
pub const MAX_UNANSWERED: u8 = 3;
/// After so much silence a sign of life is asked for.
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Entries of a user that are still added to.
pub const MAX_DEVICES: usize = 64;
/// Pause before the entry is compared (`docs/protocol/pbx.md` section 4, step 7).
pub const SETTLE: Duration = Duration::from_secs(1);
/// Rounds of an order before it waits.
pub const MAX_ROUNDS: u8 = 3;
/// How long it waits then.
pub const CONCURRENT_EDITS_WAIT: Duration = Duration::from_secs(300);
/// How long an order waits for a complete mirror.
pub const MIRROR_WAIT: Duration = Duration::from_secs(900);
/// Pauses after a refused `UpdateObject`; after the last one the order has failed.
pub const REFUSED: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];
/// How long the list of phone apps is good for, and how long an order waits for an app that is not in it.
pub const APPS_KEPT: Duration = Duration::from_secs(300);
/// Pause after a wrong password.
pub const WRONG_PASSWORD: Duration = Duration::from_secs(900);
/// Longest pause between two attempts to connect.
pub const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);
/// Users that are listed by `SearchUsers` when there is no table; again after so long.
pub const LIST_AGAIN: Duration = Duration::from_secs(900);
/// Orders of one PBX that may be under way; further ones are told to come back.
pub const MAX_ORDERS: usize = 2_048;
/// Users that a mirror takes; what is beyond is not seen.
pub const MAX_USERS: usize = 200_000;

/// What happens when the device is already entered for somebody else (`docs/protocol/pbx.md` section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    /// It moves to whoever typed the code.
    #[default]
    Move,
    /// The order fails.
    Refuse,
}

/// What can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Names of the phone apps, if the PBX does not tell them (`docs/protocol/pbx.md` 2.5).
    pub phone_apps: Vec<Box<str>>,
    /// Flags of a new entry.
    pub flags: Vec<Flag>,
    /// What happens when the device is entered for somebody else.
    pub conflict: Conflict,
    /// `UpdateObject` a second.
    pub updates_per_second: usize,
    /// Other requests a second; `ReplicateNext` does not count.
    pub requests_per_second: usize,
    /// Requests in flight.
    pub in_flight: usize,
    /// `GetRegs` a second.
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
