//! TODO header

pub mod controller;
pub(crate) mod gate;
pub(crate) mod process_resources;
