//! The entry order: an order to the backend to enter a phone for its user.
//!
//! There is one for each phone request that has a phone. It is stored before the notice of Devices is answered and
//! repeated until the backend has the entry or refuses it for good. Implements `docs/protocol/pbx.md` section 4 as
//! far as it holds for every backend.

use std::time::Duration;

use super::person::PersonId;
use super::progress::Trouble;
use crate::core::model::ids::{Code, DomainName};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::phone_request::{PhoneFacts, RequestId};

/// An order that the backend has not taken within this time has failed (`docs/protocol/pbx.md` section 4).
pub const MAX_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// An order to enter a phone for its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryOrder {
    /// Number of the phone request; also the idempotency key towards the backend.
    pub id: RequestId,
    /// Domain of the user.
    pub domain: DomainName,
    /// The user.
    pub person: PersonId,
    /// Its SIP name.
    pub sip: Box<str>,
    /// Its display name.
    pub name: Box<str>,
    /// Name of the category.
    pub category: Box<str>,
    /// Name of the phone app.
    pub app: Box<str>,
    /// The code that the phone has used.
    pub code: Code,
    /// The phone.
    pub phone: PhoneFacts,
    /// When the notice was received, on the clock of the store.
    pub made: UnixMillis,
    /// Failed attempts so far.
    pub attempts: u32,
}

/// Outcome of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The backend has the entry.
    Done,
    /// Failed for now; try again after this time.
    Again(Duration),
    /// Failed for good; kept for an operator.
    Never(Trouble),
}

impl EntryOrder {
    /// What to do after a failure that may pass: retry, or give up once the order is older than [`MAX_WAIT`]. `asked`
    /// is the wait that the backend asks for; the longer of the two counts.
    pub fn after_failure(&self, wait: Duration, asked: Option<Duration>, now: UnixMillis) -> Attempt {
        let wait = wait.max(asked.unwrap_or_default());
        if now + wait > self.made + MAX_WAIT { Attempt::Never(Trouble::GivenUp) } else { Attempt::Again(wait) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ids::DeviceKey;

    fn order(attempts: u32) -> EntryOrder {
        EntryOrder {
            id: RequestId::new([7; 16]),
            domain: DomainName::parse("example.com").unwrap(),
            person: PersonId::parse("a41c").unwrap(),
            sip: "anna".into(),
            name: "Anna Berg".into(),
            category: "Desk phones".into(),
            app: "phone".into(),
            code: Code::parse("402817739164").unwrap(),
            phone: PhoneFacts {
                key: DeviceKey::parse("00903341a0b1").unwrap(),
                name: None,
                product: "IP112".into(),
                version: "13r3".into(),
                port: None,
            },
            made: UnixMillis(1_000_000),
            attempts,
        }
    }

    #[test]
    fn an_order_is_given_up_after_its_time() {
        let now = UnixMillis(2_000_000);
        let wait = Duration::from_secs(20);
        let again = |asked, now| order(2).after_failure(wait, asked, now);
        assert_eq!(again(None, now), Attempt::Again(wait));
        let hour = Duration::from_secs(3600);
        assert_eq!(again(Some(hour), now), Attempt::Again(hour), "the backend is given the time that it asks for");
        assert_eq!(again(Some(Duration::from_secs(1)), now), Attempt::Again(wait));
        assert_eq!(again(None, UnixMillis(1_000_000) + MAX_WAIT), Attempt::Never(Trouble::GivenUp));
    }
}
