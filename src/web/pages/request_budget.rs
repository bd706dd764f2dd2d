//! How much one person may have asked of Devices. All persons of a domain share one connection to it, which takes so many requests a
//! second, with those who roll out phones: nobody is to use it up alone. Each node counts for itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::core::model::ids::DomainName;
use crate::core::model::time::Tick;
use crate::core::model::users_role::PersonId;
use crate::core::policy::limits::{Attempts, Quota};

/// The time over which questions are counted; whoever has used theirs up has to wait for as long.
const WINDOW: Duration = Duration::from_secs(10);

/// The questions of all persons.
pub struct RequestBudget(Mutex<Attempts<(DomainName, PersonId)>>);

impl RequestBudget {
    /// Each person has `questions` within ten seconds; so many persons are remembered.
    pub fn new(questions: u32, max_tracked: usize) -> Self {
        Self(Mutex::new(Attempts::new(Quota::new(questions, WINDOW), max_tracked)))
    }

    /// Takes some of the questions of a person; the last ones may be more than they had left. If there are none left: how long until
    /// there are.
    pub(super) fn take(
        &self,
        domain: &DomainName,
        person: &PersonId,
        questions: u32,
        now: Tick,
    ) -> Result<(), Duration> {
        let who = (domain.clone(), person.clone());
        // Counters are good to use even if a thread died with them.
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = asked.blocked(&who, now) {
            return Err(wait);
        }
        (0..questions).for_each(|_| asked.count(&who, now));
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
        // To ask in vain does not make it longer.
        assert_eq!(request_budget.take(&one, &anna, 1, Tick(10_999)), Err(Duration::from_millis(1)));
        assert_eq!(request_budget.take(&one, &anna, 1, Tick(11_000)), Ok(()));
    }
}
