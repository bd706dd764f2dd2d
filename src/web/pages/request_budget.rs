//! Limits the requests to Devices that one person may cause. All persons and roll-out administrators of a domain share
//! one app connection with a limited rate, and no person may use it up. Each node counts separately.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::core::model::ids::DomainName;
use crate::core::model::time::Tick;
use crate::core::model::users_role::PersonId;
use crate::core::policy::limits::{Attempts, Quota};

/// Time window over which requests are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// The request counters of all persons.
pub struct RequestBudget(Mutex<Attempts<(DomainName, PersonId)>>);

impl RequestBudget {
    /// `requests` per person within ten seconds; `max_tracked` persons are counted at the same time.
    pub fn new(requests: u32, max_tracked: usize) -> Self {
        Self(Mutex::new(Attempts::new(Quota::new(requests, WINDOW), max_tracked)))
    }

    /// Takes requests from the budget of a person, also if fewer are left. With an empty budget, returns how long to
    /// wait.
    pub(super) fn take(
        &self,
        domain: &DomainName,
        person: &PersonId,
        requests: u32,
        now: Tick,
    ) -> Result<(), Duration> {
        let who = (domain.clone(), person.clone());
        // The counters are valid even if a thread has panicked while it held the lock.
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = asked.blocked(&who, now) {
            return Err(wait);
        }
        (0..requests).for_each(|_| asked.count(&who, now));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_person_has_their_own_questions() {
        let request_budget = RequestBudget::new(3, 10);
        let [one, other] = ["example.com", "other.example"].map(|name| DomainName::parse(name).unwrap());
        let [anna, ben] = ["anna", "ben"].map(|name| PersonId::parse(name).unwrap());
        assert_eq!(request_budget.take(&one, &anna, 2, Tick(0)), Ok(()));
        assert_eq!(request_budget.take(&one, &anna, 2, Tick(1_000)), Ok(()));
        assert_eq!(request_budget.take(&one, &anna, 1, Tick(1_000)), Err(WINDOW));
        assert_eq!(request_budget.take(&one, &ben, 3, Tick(1_000)), Ok(()));
        assert_eq!(request_budget.take(&other, &anna, 3, Tick(1_000)), Ok(()), "somebody else of that name");
        // A refused request does not extend the wait.
        assert_eq!(request_budget.take(&one, &anna, 1, Tick(10_999)), Err(Duration::from_millis(1)));
        assert_eq!(request_budget.take(&one, &anna, 1, Tick(11_000)), Ok(()));
    }
}
