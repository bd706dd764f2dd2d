//! The mailbox of a domain: the durable queue of notices that a device has used a code, on their way to app connections
//! (`docs/protocol/devices-api.md` 2.5).
//!
//! [`service`] has the operations on the store: deposit, take, give back, settle. [`delivery`] keeps the receivers of
//! one domain on this node and the notices in flight; the actor of the tenant owns one and performs the requests that
//! it returns. Which connection receives a notice is decided in `src/core/policy/mailbox.rs`. Neither knows an actor:
//! receivers are recipients.

pub mod delivery;
pub mod service;

pub use delivery::{MailboxDelivery, NoticeReceiver};
pub use service::{Mailbox, MailboxSettings, address_notice, device_view};
