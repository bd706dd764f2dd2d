//! A tenant at run time: one actor per domain on each node, and the registry that finds and replaces these actors.
//!
//! The actor supervises the members of its domain (`actor`), owns the delivery of its mailbox ([`crate::mailbox`]) and
//! passes changes on: to members at a bounded rate (`paced_broadcast`), to clients on all nodes at most once a second
//! (`coalesce`). It reaches connections through recipients (`src/connection/messages.rs`) and must not know their
//! actors, sessions or protocols; the messages that they send to it are in `messages`. Other modules use
//! [`TenantDirectory`].
//!
//! Domains and jobs as records are cached in `src/tenant_cache.rs`.

pub mod actor;
pub(crate) mod coalesce;
pub mod directory;
pub mod membership_batch;
pub mod messages;
pub(crate) mod paced_broadcast;
pub mod registry;
pub mod services;
pub mod subscribers;

pub use directory::TenantDirectory;
pub use services::Services;
