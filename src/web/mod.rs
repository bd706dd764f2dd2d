//! HTTP: upgrades to WebSocket, the directory's endpoints, health and metrics.

pub mod directory;
pub mod ops;
pub mod upgrade;
