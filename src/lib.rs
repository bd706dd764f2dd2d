//! provbroker: an open provisioning broker for desk phones.
//!
//! The map of the crate, in the direction in which modules may use each other (a test reads the `use` lines):
//!
//! ```text
//! main → demo → app → web → admin → node → device, app_connection, tenant, mailbox, connection, admission
//!                                   node → registration → tenant_cache, directory → store → core ← sim ← loadtest
//!                       web → users_role → connection, store: it talks to Devices over the wire only
//!                       web → accounts → store
//! main → ctl → core: the operators' command line, which knows the service by its REST interface only
//! config, clock, metrics, random, lifecycle: leaves for the server modules; core uses none of them
//! ```

pub mod accounts;
pub mod admin;
pub mod admission;
pub mod app;
pub mod app_connection;
pub mod clock;
pub mod config;
pub mod connection;
pub mod core;
pub mod ctl;
pub mod demo;
pub mod device;
pub mod directory;
pub mod lifecycle;
pub mod mailbox;
pub mod metrics;
pub mod node;
pub mod random;
pub mod registration;
pub mod sim;
pub mod store;
pub mod tenant;
pub mod tenant_cache;
pub mod users_role;
pub mod web;
