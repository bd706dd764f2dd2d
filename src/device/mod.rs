//! A device connection: one actor per WebSocket of a phone or gateway (`docs/protocol/sysclient.md`).
//!
//! The actor (`actor`) carries between the socket, the session in `src/core/session/device/` and the services; it
//! decides nothing. Its parts: the gate of registrations (`registration_gate`), the place of an unassigned device
//! (`unassigned`), the offer whose decision waits (`waiting_offer`, `offer_turns`), the work for a device (`jobs`), the readers of its tunnel sessions (`tunnel`) and the messages of
//! others (`messages`). It uses its tenant through [`crate::tenant`], and must not know app connections, the node as a
//! whole, or HTTP.

pub mod actor;
pub(crate) mod job_metrics;
pub(crate) mod jobs;
pub(crate) mod messages;
mod offer_turns;
pub(crate) mod permit;
pub(crate) mod progress_saver;
pub(crate) mod registration_gate;
pub mod services;
pub(crate) mod stage_timer;
pub mod tunnel;
pub(crate) mod unassigned;
pub(crate) mod waiting_offer;

pub use services::Services;
