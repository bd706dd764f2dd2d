//! The sessions of the server against those of its clients, over connections that break and lose.
//!
//! A small model of the store decides by the same rules as the real one. Everything is drawn by proptest: no clock, no socket.

// The exemption in clippy.toml covers functions marked as tests, not their helpers.
#![allow(clippy::unwrap_used)]

#[path = "sessions/app.rs"]
mod app;
#[path = "sessions/app_world.rs"]
mod app_world;
#[path = "sessions/device.rs"]
mod device;
#[path = "sessions/device_store.rs"]
mod device_store;
#[path = "sessions/device_world.rs"]
mod device_world;
#[path = "sessions/subscription.rs"]
mod subscription;
#[path = "sessions/subscription_world.rs"]
mod subscription_world;
