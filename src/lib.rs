//! provbroker: an open provisioning broker for desk phones.
//!
//! The map of the crate. Each line may use what stands to the right of its arrow; `tests/layers.rs` checks every path.
//! `docs/architecture.md` says what each module is for and follows a registration, a code and a notice through them.
//!
//! ```text
//! main → demo → app                          wiring: the only place that names concrete stores
//! app → web                                  HTTP: upgrades, /init, REST, pages, passthrough, health
//! web → admin, accounts, users_role, node
//! node → device, app_connection              the actors of a node, assembled and stopped in order
//! device, app_connection → tenant → mailbox  one actor per connection, one per domain; notices
//! mailbox → connection, registration         sockets, TLS, gates; claims and codes
//! connection → admission
//! registration → attempts, tenant_cache, directory  attempts: who may try a secret now, and who waits
//! all of these → store → core                what is remembered; the pure part
//! users_role → connection, store             the Users role: it talks to Devices over the wire only
//! main → ctl → core                          the operators' command line: knows the REST interface only
//! loadtest → sim → core                      simulated devices, Users and exchanges
//! main → logging → core                      how lines are written, and how often
//! config, clock, metrics, random, lifecycle  leaves for the modules of the server; core uses none of them
//! ```

pub mod accounts;
pub mod admin;
pub mod admission;
pub mod app;
pub mod app_connection;
pub mod attempts;
pub mod clock;
pub mod config;
pub mod connection;
pub mod core;
pub mod ctl;
pub mod demo;
pub mod device;
pub mod directory;
pub mod lifecycle;
pub mod logging;
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
