//! App connections as state machines: [`session`] is the server's side, [`client`] the side of a service client.
//!
//! Implements `docs/protocol/appwebsocket.md` and `docs/protocol/devices-api.md`. Reads neither store nor clock;
//! questions go out as [`event::Ask`] and come back as [`event::Answer`].

pub mod client;
pub mod device_pager;
pub mod event;
pub mod known;
pub mod logged_in;
mod replies;
pub mod rights;
pub mod session;
pub mod settling;
mod slots;
pub mod subscription;
mod subscriptions;
