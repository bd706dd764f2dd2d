//! The sessions of the server against those of its clients, over connections that break and lose.
//!
//! A small model of the store decides by the same rules as the real one. Everything is drawn by proptest: no clock, no socket.

// The exemption in clippy.toml covers functions marked as tests, not their helpers.
#![allow(clippy::unwrap_used)]

#[path = "sessions/phone.rs"]
mod phone;
#[path = "sessions/phone_store.rs"]
mod phone_store;
#[path = "sessions/phone_world.rs"]
mod phone_world;
#[path = "sessions/subscription.rs"]
mod subscription;
#[path = "sessions/subscription_world.rs"]
mod subscription_world;
#[path = "sessions/users.rs"]
mod users;
#[path = "sessions/users_world.rs"]
mod users_world;
