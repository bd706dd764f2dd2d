//! The Users role: persons request phones here, and the phones are entered for them at the backend.
//!
//! It talks to Devices over the network only, also within one process: one app connection per tenant
//! ([`devices_link`]), and the operators' REST interface for what the app protocol has no message for
//! ([`devices_rest`]). It must not use anything of the Devices role directly. An entry order is stored before the
//! notice of Devices is answered, and carried out from the store ([`entry_orders`]), so neither a crash nor a long
//! outage loses one. The rules are in [`crate::core::model::users_role`] and implement `docs/protocol/devices-api.md`
//! section 7.

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
pub use devices_link::LinkStatus;
pub use devices_rest::DevicesError;
pub use error::{Result, UsersRoleError};
pub use rollouts::MAX_USERS;
pub use service::{ProgressSubscription, TenantStatus, UsersRole};
pub use settings::{Settings, TenantSettings};
pub use tls::{TlsError, trust_roots};
