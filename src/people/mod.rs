//! The Users role: people ask for phones here, and phones are entered for them at the backend.
//!
//! It talks to Devices over the wire only, also when both are in one process: one log-in for each tenant over the app protocol
//! ([`link`]), and the operators' interface for what that protocol has no message for ([`devices`]). An order is in the store before
//! the notice of Devices is answered, and carried out from there ([`orders`]), so neither a crash nor a long absence loses one.
//! The rules are in [`crate::core::people`].

pub mod backend;
mod cancel;
mod devices;
mod error;
mod facade;
mod link;
mod lookout;
mod news;
mod open;
mod orders;
mod place;
mod rollouts;
mod settings;
mod tenant;
mod tls;

pub use devices::DevicesError;
pub use error::{PeopleError, Result};
pub use facade::{Looking, People, Standing};
pub use link::LinkStanding;
pub use news::News;
pub use rollouts::MAX_USERS;
pub use settings::{Settings, TenantSettings};
pub use tls::{TlsError, trust_own, trust_roots};
