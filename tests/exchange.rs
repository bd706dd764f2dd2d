//! The client of an exchange against a simulated one, in virtual time: the test cases of `docs/protocol/pbx.md`
//! section 7, each by its number.

// The exemption in clippy.toml covers functions marked as tests, not their helpers.
#![allow(clippy::unwrap_used)]

#[path = "exchange/at_once.rs"]
mod at_once;
#[path = "exchange/connecting.rs"]
mod connecting;
#[path = "exchange/entering.rs"]
mod entering;
#[path = "exchange/listing.rs"]
mod listing;
#[path = "exchange/mirroring.rs"]
mod mirroring;
#[path = "exchange/racing.rs"]
mod racing;
#[path = "exchange/sockets.rs"]
mod sockets;
#[path = "exchange/world.rs"]
mod world;
