//! provbroker: an open provisioning broker for desk phones.
//!
//! The map of the crate, in the direction in which modules may use each other (a test reads the `use` lines):
//!
//! ```text
//! main → demo → app → web → admin → actors → codes, directory → store → core ← sim ← loadtest
//!                       web → people → store: the Users role, which talks to Devices over the wire only
//!                       web → accounts → store
//! main → ctl → core: the operators' command line, which knows the service by its REST interface only
//! config, clock, metrics, random, lifecycle: leaves for the server modules; core uses none of them
//! ```

pub mod accounts;
pub mod actors;
pub mod admin;
pub mod app;
pub mod clock;
pub mod codes;
pub mod config;
pub mod core;
pub mod ctl;
pub mod demo;
pub mod directory;
pub mod lifecycle;
pub mod metrics;
pub mod people;
pub mod random;
pub mod sim;
pub mod store;
pub mod web;
