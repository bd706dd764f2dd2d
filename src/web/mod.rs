//! Everything that is served over HTTP: upgrades to WebSocket, the directory, the passthrough to devices, the REST
//! interface, health and metrics, and the pages.

pub mod api;
pub mod client_address;
mod csv;
pub mod directory;
pub mod entrance;
pub mod ops;
pub mod pages;
pub mod passthrough;
pub mod requests;
pub mod upgrade;
