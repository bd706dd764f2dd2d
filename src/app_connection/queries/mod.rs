//! What app connections read and change: categories, codes, devices, domains (`docs/protocol/devices-api.md` sections 2 to 4).
//!
//! Everything is answered within the rights of the log-in; what is outside of them does not exist for it.

pub(crate) mod codes;
pub(crate) mod devices;
