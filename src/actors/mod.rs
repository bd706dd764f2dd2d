//! Thin shells around the pure sessions, and who supervises whom.
//!
//! One actor per device connection ([`phone`]) and per app connection ([`users`]), one per domain ([`domain`]), one
//! [`registry`] that makes domains and makes them again when one dies. They decode, feed the state machine and perform its
//! actions; they decide nothing. [`socket`] is the connection below them, [`node`] what they share,
//! [`tunnel`] the way of HTTP requests to devices.

pub mod alarm;
mod answer;
mod changes;
pub mod domain;
pub mod draining;
pub mod governor;
pub mod keys;
mod laps;
pub mod line;
pub mod mail;
pub mod node;
mod pace;
pub mod phone;
pub mod registry;
pub mod roster;
pub mod rounds;
pub mod socket;
pub mod tunnel;
pub mod users;
mod waiting;
pub mod watchers;
pub mod word;

#[cfg(test)]
mod tests;
