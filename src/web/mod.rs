//! HTTP: upgrades to WebSocket, the directory's endpoints, health and metrics.

pub mod api;
pub mod directory;
pub mod ops;
pub mod upgrade;
