//! The Users role: people ask for phones here, and phones are entered for them at the backend.
//!
//! It talks to Devices over the wire only, also when both are in one process. The rules are in [`crate::core::people`].

pub mod backend;
