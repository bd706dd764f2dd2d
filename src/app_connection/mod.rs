//! An app connection: one actor per WebSocket of a service client, Users or an app (`docs/protocol/appwebsocket.md`).
//!
//! The actor (`actor`) carries between the socket, the session in `src/core/session/app/` and the services; it decides
//! nothing. `requests` dispatches each request, `queries` reads and changes the records
//! (`docs/protocol/devices-api.md`),
//! `session_keys` keeps the keys that give browsers access to devices. It uses tenants through [`crate::tenant`] and
//! devices through [`crate::device::tunnel`] only, and must not know the node as a whole or HTTP.

pub mod actor;
pub(crate) mod messages;
pub mod queries;
pub(crate) mod requests;
pub mod services;
pub mod session_keys;

pub use services::Services;
