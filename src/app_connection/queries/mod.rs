//! TODO header

pub(crate) mod codes;
pub(crate) mod devices;
