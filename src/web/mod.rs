//! HTTP: upgrades to WebSocket, the directory's endpoints, the way through to devices, health and metrics, and the
//! pages for people.

pub mod api;
mod csv;
pub mod directory;
pub mod ops;
pub mod pages;
pub mod passthrough;
pub mod upgrade;
