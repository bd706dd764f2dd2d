//! Decisions without I/O: admission, entry into a domain, jobs, limits, storms, and why something is blocked.
//!
//! Each function gets everything that it decides on as arguments and returns its decision as a value. Nothing here may
//! use [`crate::core::session`], a store, a clock, randomness or a socket; whoever calls carries the decision out.
//!
//! * [`admin_password`]: which administrative password a device gets.
//! * [`admission`]: which entries may start now, which wait and which are rejected.
//! * [`blocked_reason`]: the first thing that keeps a device or a code from being done, with a sentence for operators.
//! * [`bundle`]: what the records of a bundle mean, and which contents are acceptable.
//! * [`entry`]: which domain an identify lets a device enter.
//! * [`hosts`]: the names that this service answers to.
//! * [`jobs`]: updates and configurations, and what they mean for one device now.
//! * [`limits`]: counters with bounded memory: attempts per key, a rate over all, requests per second.
//! * [`log_limiter`]: limits how often a log line is written.
//! * [`oidc_claims`]: maps the claims of an OpenID provider to an identity.
//! * [`places`]: who gives way when places for connections without proof get scarce.
//! * [`proxies`]: whose word about the address of a client counts.
//! * [`record_pace`]: how fast records of strangers are written.
//! * [`storm`]: detects that many known devices are missing and coming back.

pub mod admin_password;
pub mod admission;
pub mod backoff;
pub mod blocked_reason;
pub mod bundle;
pub mod entry;
pub mod hosts;
pub mod jobs;
pub mod limits;
pub mod log_limiter;
pub mod mailbox;
pub mod oidc_claims;
pub mod places;
pub mod proxies;
pub mod record_pace;
pub mod storm;
