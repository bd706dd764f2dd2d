//! The client of a PBX against a simulated one, in virtual time: the test cases of `pbx.md` section 7, each by its number.

// The exemption in clippy.toml covers functions marked as tests, not their helpers.
#![allow(clippy::unwrap_used)]

#[path = "pbx/at_once.rs"]
mod at_once;
#[path = "pbx/connecting.rs"]
mod connecting;
#[path = "pbx/entering.rs"]
mod entering;
#[path = "pbx/listing.rs"]
mod listing;
#[path = "pbx/mirroring.rs"]
mod mirroring;
#[path = "pbx/racing.rs"]
mod racing;
#[path = "pbx/sockets.rs"]
mod sockets;
#[path = "pbx/world.rs"]
mod world;
