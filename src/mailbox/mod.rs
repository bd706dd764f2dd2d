//! TODO header

pub mod delivery;
