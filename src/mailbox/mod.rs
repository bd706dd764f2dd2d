//! The mailbox of a domain: the durable queue of notices that a device has used a code, on their way to app connections
//! (`docs/protocol/devices-api.md` 2.5).
//!
//! [`service`] is everything that touches the store: deposit, take, give back, settle. [`delivery`] keeps who receives
//! the notices of one domain on this node and what is on the way; the actor of the tenant owns one and performs the
//! requests that it returns. Who may receive a notice is decided in `src/core/policy/mailbox.rs`. Neither knows an
//! actor: receivers are recipients.

pub mod delivery;
pub mod service;

pub use delivery::{MailboxDelivery, NoticeReceiver};
pub use service::{Mailbox, MailboxSettings, address_notice, device_view};
