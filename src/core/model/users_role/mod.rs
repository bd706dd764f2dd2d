//! Values and rules of the Users role: persons, phone requests, their progress, entry orders and roll-outs.
//!
//! Implements `docs/protocol/devices-api.md` section 7. Knows no connection, no clock and no store, and makes no
//! texts: each failure is a [`Trouble`], for which the pages have a sentence.

mod entry_order;
mod person;
mod phone_request;
mod progress;
mod rollout;

pub use entry_order::{Attempt, EntryOrder, MAX_WAIT};
pub use person::{InvalidPerson, MAX_TEXT, Person, PersonId, PhoneApp, UserPage, UserQuery};
pub use phone_request::{EntryState, Phone, PhoneFacts, PhoneRequest, RequestId};
pub use progress::{PhoneStatus, Progress, STAGES, Stage, Trouble, progress};
pub use rollout::{Changed, Row, UsersRoleRollout};
