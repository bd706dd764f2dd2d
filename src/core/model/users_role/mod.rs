//! Persons and their phones: requests, their progress, and the entries of the phones at the backend.
//!
//! The rules of the Users role (`docs/protocol/devices-api.md` section 7) as values: no connection, no clock, no
//! store. No texts are made here; every fault has a name ([`Trouble`]), for which the pages have a sentence.

mod entry_order;
mod person;
mod phone_request;
mod progress;
mod rollout;

pub use entry_order::{Attempt, EntryOrder, MAX_WAIT};
pub use person::{InvalidPerson, MAX_TEXT, Person, PersonId, PhoneApp, UserPage, UserQuery};
pub use phone_request::{EntryState, Phone, PhoneFacts, PhoneRequest, RequestId};
pub use progress::{PhoneStatus, Progress, STAGES, Stage, Trouble, progress};
pub use rollout::{Changed, PeopleRollout, Row};
