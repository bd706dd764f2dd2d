//! Everything that is served over HTTP: upgrades to WebSocket, the directory, the passthrough to devices, the REST
//! interface, health and metrics, and the pages.

pub mod api;
mod csv;
pub mod directory;
pub mod ops;
pub mod pages;
pub mod passthrough;
pub mod requests;
pub mod source_address;
pub mod upgrade;
