//! TODO header

pub mod app;
pub mod device;
pub mod exchange;
