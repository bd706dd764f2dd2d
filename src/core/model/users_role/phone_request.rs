//! The phone request: a person's request for a phone, with its code, progress and, later, the phone.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::person::{InvalidPerson, PersonId};
use super::progress::{Progress, Trouble};
use crate::core::model::hex;
use crate::core::model::ids::{Code, DeviceKey, DomainName, RolloutId};
use crate::core::model::time::UnixMillis;

/// Identifier of a phone request: 32 hex digits from 128 random bits, so that it cannot be guessed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Box<str>")]
pub struct RequestId(Box<str>);

impl RequestId {
    /// Formats random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        Self(hex::encode(random).into())
    }

    /// Exactly 32 hex digits in lower case.
    pub fn parse(text: &str) -> Result<Self, InvalidPerson> {
        let good = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if good { Ok(Self(text.into())) } else { Err(InvalidPerson("number of a request")) }
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Box<str>> for RequestId {
    type Error = InvalidPerson;

    fn try_from(text: Box<str>) -> Result<Self, InvalidPerson> {
        Self::parse(&text)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A phone as Devices describes it, reduced to what its user needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneFacts {
    /// Device key: a MAC address as twelve lower-case digits.
    pub key: DeviceKey,
    /// Configured name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// Product.
    pub product: Box<str>,
    /// Version text.
    pub version: Box<str>,
    /// The analogue port, if the code was used for one; the device is then its gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Box<str>>,
}

/// State of the device entry at the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "trouble")]
pub enum EntryState {
    /// No phone has used the code yet.
    None,
    /// The entry order is stored and waits to be carried out.
    Waiting,
    /// The backend has the entry.
    Done,
    /// The entry has failed for good. An operator can have it retried.
    Failed(Trouble),
}

/// A person's request for a phone; it has one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneRequest {
    /// Identifier.
    pub id: RequestId,
    /// Domain of the user and of the code.
    pub domain: DomainName,
    /// The person.
    pub person: PersonId,
    /// SIP name of the person.
    pub sip: Box<str>,
    /// Its display name.
    pub name: Box<str>,
    /// Name of the category that the phone enters.
    pub category: Box<str>,
    /// Name of the phone app.
    pub app: Box<str>,
    /// The code.
    pub code: Code,
    /// When it was made, on the clock of the store.
    pub asked: UnixMillis,
    /// End of validity of the code, as told by Devices.
    pub valid_until: UnixMillis,
    /// The roll-out it belongs to, if any.
    pub rollout: Option<RolloutId>,
    /// Progress of the phone.
    pub progress: Progress,
    /// State of the entry at the backend.
    pub entry: EntryState,
    /// The phone, once it is known.
    pub phone: Option<PhoneFacts>,
}

impl PhoneRequest {
    /// Whether nothing more will happen by itself: the phone is ready and its entry decided, or the request has ended
    /// without a phone.
    pub const fn is_over(&self) -> bool {
        match self.progress {
            Progress::Ready => matches!(self.entry, EntryState::Done | EntryState::Failed(_)),
            Progress::Expired | Progress::Cancelled => true,
            _ => false,
        }
    }

    /// Whether the code can still be used at `now`.
    pub fn is_open(&self, now: UnixMillis) -> bool {
        matches!(self.progress, Progress::Waiting | Progress::Found | Progress::Failed(Trouble::OtherDomain))
            && now < self.valid_until
    }
}

/// A phone of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// Its phone request.
    pub request: RequestId,
    /// The phone as Devices knows it now; as it was when it entered if Devices cannot be asked.
    pub facts: PhoneFacts,
    /// Whether it is connected; `None`: Devices was not asked, or cannot be asked.
    pub online: Option<bool>,
    /// State of the entry at the backend.
    pub entry: EntryState,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_thirty_two_digits() {
        let id = RequestId::new([0xa5; 16]);
        assert_eq!(RequestId::parse(id.as_str()), Ok(id));
        for wrong in ["", "a5", &"A5".repeat(16), &"g5".repeat(16), &"a5".repeat(17)] {
            assert!(RequestId::parse(wrong).is_err(), "{wrong}");
        }
    }
}
