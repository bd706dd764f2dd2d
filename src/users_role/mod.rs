//! The Users role: people ask for phones here, and phones are entered for them at the backend.
//!
//! It talks to Devices over the wire only, also when both are in one process: one log-in for each tenant over the app protocol
//! ([`link`]), and the operators' interface for what that protocol has no message for ([`devices`]). An order is in the store before
//! the notice of Devices is answered, and carried out from there ([`orders`]), so neither a crash nor a long absence loses one.
//! The rules are in [`crate::core::model::users_role`].

pub mod backend;
mod cancellation;
mod change_feed;
mod code_request;
mod devices_link;
mod devices_rest;
mod entry_orders;
mod error;
pub(crate) mod exchange_connection;
mod open_codes;
mod order_intake;
mod progress_poller;
mod rollout_codes;
mod rollouts;
mod service;
mod settings;
mod tenant;
mod tls;

pub use change_feed::RequestChange;
pub use devices_link::LinkStanding;
pub use devices_rest::DevicesError;
pub use error::{Result, UsersRoleError};
pub use rollouts::MAX_USERS;
pub use service::{ProgressSubscription, TenantStatus, UsersRole};
pub use settings::{Settings, TenantSettings};
pub use tls::{TlsError, trust_own, trust_roots};
