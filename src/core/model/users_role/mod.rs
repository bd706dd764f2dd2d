//! People and their phones: who asks for a phone, what becomes of the request, and which entry the phone gets at the backend.
//!
//! The rules of the Users role (`docs/protocol/devices-api.md` section 7) as values: no connection, no clock, no store.
//! Texts are not made here; whatever can go wrong has a name ([`Trouble`]), and the pages have a sentence for each.

mod entry_order;
mod person;
mod phone_request;
mod progress;
mod rollout;

pub use entry_order::{Attempt, EntryOrder, MAX_WAIT};
pub use person::{InvalidPerson, MAX_TEXT, Person, PersonId, PhoneApp, UserPage, UserQuery};
pub use phone_request::{EntryState, Phone, PhoneFacts, PhoneRequest, RequestId};
pub use progress::{Progress, STAGES, Seen, Stage, Trouble, progress};
pub use rollout::{Changed, PeopleRollout, Row};
